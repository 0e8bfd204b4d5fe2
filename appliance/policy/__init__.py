"""Who may do what, decided by Cedar."""
