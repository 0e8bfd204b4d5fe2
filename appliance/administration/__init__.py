"""What administrators and compliance officers do: people, collections, the first account, the review of the audit log."""
