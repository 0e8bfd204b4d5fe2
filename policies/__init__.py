"""Cedar schema and policies."""
