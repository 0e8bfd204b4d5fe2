"""Signing in and setting up."""

from __future__ import annotations

import msgspec


class SignIn(msgspec.Struct, forbid_unknown_fields=True):
    """`next` is the page that was asked for before signing in; `code` is wanted where the box answers `session.code_needed`."""

    name: str
    password: str
    next: str = ""
    code: str = ""


class SignedIn(msgspec.Struct):
    """`home` is the page to begin with: the one asked for, where this person may open it."""

    name: str
    roles: list[str]
    home: str


class PasswordChange(msgspec.Struct, forbid_unknown_fields=True):
    current: str
    new: str


class PasswordChanged(msgspec.Struct):
    """`csrf_token` is that of the new session; the page goes on with it."""

    csrf_token: str


class CompleteSetup(msgspec.Struct, forbid_unknown_fields=True):
    """`token` is the secret of the one-time link."""

    token: str
    name: str
    password: str
    load_handbook: bool = False


class SetupCompleted(msgspec.Struct):
    """`handbook_documents` counts the sample documents that are now being read."""

    name: str
    home: str
    handbook_documents: int
