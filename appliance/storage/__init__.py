"""The encrypted database, the blob store and the keys."""
