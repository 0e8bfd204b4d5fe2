"""API keys."""

from __future__ import annotations

import msgspec

from appliance.administration.api_keys import DEFAULT_DAYS
from appliance.identity.api_keys import ApiKey, KeyScope


class NewApiKey(msgspec.Struct, forbid_unknown_fields=True):
    """`password` is one's own, as now, and `code` of one's second factor; the key ends after `days` by itself."""

    name: str
    scopes: list[KeyScope]
    password: str
    code: str = ""
    days: int = DEFAULT_DAYS


class ApiKeyOut(msgspec.Struct):
    """`last_used_ms` is None where it never was, else true to the minute."""

    id: str
    name: str
    scopes: list[str]
    created_ms: int
    expires_ms: int
    last_used_ms: int | None

    @classmethod
    def of(cls, key: ApiKey) -> ApiKeyOut:
        scopes = [str(scope) for scope in sorted(key.scopes)]
        return cls(key.id, key.name, scopes, key.created_ms, key.expires_ms, key.last_used_ms)


class ApiKeysOut(msgspec.Struct):
    """One's own; whether policy lets one make another."""

    keys: list[ApiKeyOut]
    may_create: bool


class ApiKeyMade(msgspec.Struct):
    """`text` is the key itself, told this once."""

    key: ApiKeyOut
    text: str


class ApiKeysEnded(msgspec.Struct):
    ended: int
