"""Signing in through the identity provider, and what administrators decide about it."""
