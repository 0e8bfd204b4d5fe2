"""One's own second factor."""

from __future__ import annotations

import msgspec

from appliance.administration.enrolment import Begun, Enrolled, FactorState
from web.pictures import qr_picture


class FactorOut(msgspec.Struct):
    """`since_ms` is None without one; `required`: a role of this person asks for it."""

    since_ms: int | None
    recovery_codes: int
    required: bool

    @classmethod
    def of(cls, state: FactorState) -> FactorOut:
        return cls(state.since_ms, state.recovery_codes, state.required)


class FactorBegun(msgspec.Struct):
    """The secret in base32; `path` draws the picture for the app's camera, dark on light, in a square of `size`."""

    secret: str
    size: int
    path: str

    @classmethod
    def of(cls, begun: Begun) -> FactorBegun:
        return cls(begun.secret, *qr_picture(begun.uri))


class Proof(msgspec.Struct, forbid_unknown_fields=True):
    """The current password, and a code of the app or a recovery code."""

    password: str
    code: str


class RecoveryCodes(msgspec.Struct):
    """Shown this once."""

    recovery_codes: list[str]


class FactorCreated(msgspec.Struct):
    """`recovery_codes` are shown this once; `csrf_token` is that of the new session, with which the page goes on."""

    recovery_codes: list[str]
    csrf_token: str

    @classmethod
    def of(cls, enrolled: Enrolled, csrf_token: str) -> FactorCreated:
        return cls(enrolled.recovery_codes, csrf_token)


class FactorDeleted(msgspec.Struct):
    """`csrf_token` is that of the new session; the page goes on with it."""

    csrf_token: str
