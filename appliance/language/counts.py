"""A number of things, as a sentence says it. Pure."""

from __future__ import annotations


def counted(count: int, noun: str) -> str:
    """The number and the thing, one or many: for nouns that take an s."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
