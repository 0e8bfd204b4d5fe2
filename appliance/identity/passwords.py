"""Password hashing: argon2id with the second recommended parameter set of RFC 9106 (64 MiB, three passes, four lanes)."""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from appliance.errors import InvalidInput

MIN_CHARACTERS = 12
MAX_CHARACTERS = 1_000
_MIN_DISTINCT = 5
_MIN_TRIPLES = 9
"""Different runs of three characters: twelve that do not repeat have ten."""
COMMON = ("password", "passwort", "passphrase", "qwertyuiop", "qwertzuiop", "qwerty", "qwertz", "letmein", "welcome", "iloveyou",
          "administrator", "admin", "cloister", "secret")  # fmt: skip
"""Count as one character each; the set-up page has the same (web/static/setup.js)."""
_SAID_AGAIN = re.compile(r"(.{3,}?)\1+", re.DOTALL)
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
    """Raise `InvalidInput` for a password that is too short, too long or too simple. Length is what counts (NIST SP 800-63B)."""
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
    told = _without_the_obvious(password.lower())
    if len({told[at : at + 3] for at in range(len(told) - 2)}) < _MIN_TRIPLES:
        raise InvalidInput(
            "The password is easy to guess: it repeats itself, or is little more than a common word or a row of characters.",
            code="password.too_simple",
        )


def _without_the_obvious(password: str) -> str:
    """Common words as one character each, of rows like `aaaa` and `1234` two, and once what is said again at once."""
    for word in COMMON:
        password = password.replace(word, "\0")
    steps = [ord(after) - ord(before) for before, after in pairwise(password)]
    goes_on = [step == before and abs(step) <= 1 for before, step in pairwise(steps)]
    parts = password[:2] + "".join(char for char, row in zip(password[2:], goes_on, strict=True) if not row)
    return _SAID_AGAIN.sub(r"\1", parts)


def _normalised(password: str) -> str:
    # the same password typed on two keyboards may arrive in two Unicode forms
    return unicodedata.normalize("NFKC", password)
