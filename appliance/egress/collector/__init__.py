"""The collector of the organisation, which the log is carried to: a copy of it that nobody on the box can rewrite."""
