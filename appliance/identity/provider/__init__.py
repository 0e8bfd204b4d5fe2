"""Signing in through the identity provider of the organisation: what its policy file says, its tokens, and who is who."""
