"""Golden sets: questions with known answers that an administrator keeps for a collection, and what became of asking them."""
