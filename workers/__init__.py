"""Dramatiq actors and their processes."""
