"""Language models and embeddings."""
