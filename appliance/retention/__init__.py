"""How long conversations and documents stay before the box removes them by itself."""
