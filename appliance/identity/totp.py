"""Codes of an app on somebody's phone: time-based one-time passwords (RFC 6238) in the form that every such app knows.

SHA-1, six digits, steps of 30 s. SHA-1 is no weakness here: what counts is HMAC with a secret of 160 bits.
"""

from __future__ import annotations

import hmac

import pyotp

STEP_MS = 30_000
DRIFT_STEPS = 1
"""How far the clock of a phone may be off, each way."""
ISSUER = "Cloister"
_SECRET_CHARACTERS = 32  # of base32, five bits each
_DIGITS = 6
_NAME_CHARACTERS = 60
"""Of the account, in the address: a picture of the longest name there can be is too fine for cameras, or impossible."""


def new_secret() -> str:
    """In base32, from the random numbers of the operating system."""
    return pyotp.random_base32(_SECRET_CHARACTERS)


def uri_of(secret: str, name: str) -> str:
    """What apps read from the picture; the beginning of `name` tells accounts apart in their list."""
    return pyotp.TOTP(secret).provisioning_uri(name=name[:_NAME_CHARACTERS], issuer_name=ISSUER)


def step_at(now: int) -> int:
    """The step in which this moment lies, in milliseconds since 1970."""
    return now // STEP_MS


def is_code(typed: str) -> bool:
    """Whether this has the form of a code, in whatever groups it was typed."""
    digits = "".join(typed.split())
    return len(digits) == _DIGITS and digits.isascii() and digits.isdigit()


def matching_step(secret: str, typed: str, now: int, *, after: int) -> int | None:
    """The step whose code this is, of those around `now` (milliseconds) that are later than `after`; None where it is of none.

    Where it is the code of two of them, the later: with that the earlier one is spent, too.
    """
    if not is_code(typed):
        return None
    code, totp, middle = "".join(typed.split()), pyotp.TOTP(secret), step_at(now)
    around = range(max(0, middle - DRIFT_STEPS), middle + DRIFT_STEPS + 1)
    # all are compared, whichever it is
    matching = [step for step in around if hmac.compare_digest(totp.generate_otp(step), code)]
    return max((step for step in matching if step > after), default=None)
