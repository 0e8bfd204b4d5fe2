"""Codes on paper, for whoever has lost the phone: random, each of use once, kept as digests only.

80 bits each: a digest without salt and without stretching cannot be turned round by guessing.
"""

from __future__ import annotations

import hashlib
import secrets
import unicodedata

COUNT = 10
_LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"  # without those that look like others on paper
_LENGTH, _GROUP = 16, 4
_MEANT = str.maketrans("oil", "011")


def new_codes() -> list[str]:
    """`COUNT` of them, in groups of four."""
    drawn = ["".join(secrets.choice(_LETTERS) for _ in range(_LENGTH)) for _ in range(COUNT)]
    return ["-".join(code[at : at + _GROUP] for at in range(0, _LENGTH, _GROUP)) for code in drawn]


def digest(typed: str) -> str:
    """Under which a code is kept, however it was typed; empty, as none is kept, for what cannot be one."""
    plain = unicodedata.normalize("NFKC", typed).lower().replace("-", "")
    code = "".join(plain.split()).translate(_MEANT)
    if len(code) != _LENGTH or not set(code) <= set(_LETTERS):
        return ""
    return hashlib.sha256(code.encode()).hexdigest()
