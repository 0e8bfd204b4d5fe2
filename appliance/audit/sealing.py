"""Encrypts what people wrote or are called, outside the leaf, under a key of the person it is about.

The key is derived per subject, so that a value cannot be moved to another person's record, and later versions can wrap
and destroy keys one subject at a time. A value is bound to its record and field by the associated data.
"""

from __future__ import annotations

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from appliance.errors import Unavailable

SALT_BYTES = 16
_NONCE_BYTES = 12


def seal(sealing_key: bytes, *, subject: str, seq: int, field: str, salt: bytes, value: str) -> bytes:
    """The nonce, then AES-256-GCM of salt and value."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + _cipher(sealing_key, subject).encrypt(nonce, salt + value.encode(), _binding(seq, field))


def unseal(sealing_key: bytes, *, subject: str, seq: int, field: str, sealed: bytes) -> tuple[bytes, str]:
    """Salt and value. Raises `Unavailable` for a value that was altered or moved."""
    nonce, ciphertext = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
    try:
        plain = _cipher(sealing_key, subject).decrypt(nonce, ciphertext, _binding(seq, field))
    except InvalidTag:
        raise Unavailable("A sealed value of the audit log was altered.", code="audit.sealed_altered", seq=seq) from None
    return plain[:SALT_BYTES], plain[SALT_BYTES:].decode()


def _cipher(sealing_key: bytes, subject: str) -> AESGCM:
    return AESGCM(HKDF(SHA256(), 32, salt=None, info=b"cloister/audit-subject/v1/" + subject.encode()).derive(sealing_key))


def _binding(seq: int, field: str) -> bytes:
    return f"{seq}/{field}".encode()
