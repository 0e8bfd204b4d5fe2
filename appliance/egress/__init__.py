"""The only way out of the box: named destinations, an allow-list, a record of every call."""
