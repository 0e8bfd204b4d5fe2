"""Search over chunks, inside the caller's scope."""
