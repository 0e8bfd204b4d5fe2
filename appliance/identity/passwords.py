"""Password hashing: argon2id with the second recommended parameter set of RFC 9106 (64 MiB, three passes, four lanes)."""

from __future__ import annotations

import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from appliance.errors import InvalidInput

MIN_CHARACTERS = 12
MAX_CHARACTERS = 1_000
_MIN_DISTINCT = 5
_HASHER = PasswordHasher(time_cost=3, memory_cost=64 * 1024, parallelism=4, hash_len=32, salt_len=16)

DECOY_HASH = f"$argon2id$v=19$m={64 * 1024},t=3,p=4${'A' * 22}${'A' * 43}"
"""A hash no password has: verified for unknown names, so that they take as long as known ones."""


def hash_password(password: str) -> str:
    """The encoded hash; salt and parameters are in it."""
    return _HASHER.hash(_normalised(password))


def verify_password(encoded: str, password: str) -> bool:
    """Whether `password` is the one that was hashed. An over-long one is refused before any work is done."""
    if len(password) > MAX_CHARACTERS:
        return False
    try:
        return _HASHER.verify(encoded, _normalised(password))
    except (VerificationError, InvalidHashError):
        return False


def needs_rehash(encoded: str) -> bool:
    """Whether the hash was made with parameters older than today's."""
    return _HASHER.check_needs_rehash(encoded)


def check_strength(password: str) -> None:
    """Raise `InvalidInput` for a password that is too short, too long or too uniform. Length is what counts (NIST SP 800-63B)."""
    if len(password) < MIN_CHARACTERS:
        raise InvalidInput(
            f"A password needs at least {MIN_CHARACTERS} characters.", code="password.too_short", minimum=MIN_CHARACTERS
        )
    if len(password) > MAX_CHARACTERS:
        raise InvalidInput(
            f"A password may have at most {MAX_CHARACTERS} characters.", code="password.too_long", maximum=MAX_CHARACTERS
        )
    if len(set(password)) < _MIN_DISTINCT:
        raise InvalidInput("The password repeats too few characters.", code="password.too_uniform")


def _normalised(password: str) -> str:
    # the same password typed on two keyboards may arrive in two Unicode forms
    return unicodedata.normalize("NFKC", password)
