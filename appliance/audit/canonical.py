"""The canonical form of a leaf, its hash, and the commitments that stand in it for sealed values. Pure.

Canonical JSON is RFC 8785. The leaf hash carries the 0x00 tag of RFC 6962, so that a leaf can never be passed off as an inner
node of the tree that signs it. Commitments follow RFC 9901 (selective disclosure): salt, field and value, hashed together.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

import rfc8785

FORMAT_VERSION = 1
NO_PREVIOUS = bytes(32)
"""What the first leaf names as its predecessor."""

MAX_BODY_BYTES = 8 * 1024


def canonical_json(value: Mapping[str, Any] | list[Any]) -> bytes:
    """RFC 8785 bytes. Raises `ValueError` for numbers beyond 2^53-1, NaN and keys that are not strings."""
    try:
        return bytes(rfc8785.dumps(value))
    except rfc8785.CanonicalizationError as error:
        raise ValueError(f"not canonical: {error}") from error


def leaf_hash(body: bytes) -> bytes:
    """SHA-256(0x00 || body)."""
    return hashlib.sha256(b"\x00" + body).digest()


def commitment(salt: bytes, field: str, value: str) -> str:
    """Base64 of SHA-256 over the canonical `[base64(salt), field, value]`."""
    disclosed = canonical_json([b64encode(salt).decode(), field, value])
    return b64encode(hashlib.sha256(disclosed).digest()).decode()


def indexed_resources(leaf: dict[str, Any]) -> set[tuple[str, str]]:
    """What a leaf can be found by: its resources, the person it was done for, and the API key it was done by."""
    found = {(item["kind"], item["id"]) for item in leaf["resources"]}
    if "on_behalf_of" in leaf:
        found.add(("person", leaf["on_behalf_of"]))
    facts = leaf.get("facts")
    if isinstance(facts, dict) and isinstance(facts.get("key_id"), str):  # a bundle may hold anything
        found.add(("key", facts["key_id"]))
    return found
