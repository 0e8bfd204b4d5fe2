"""Starts the processes of the box, watches them and stops them. Stays small: no model, no web framework, no broker."""
