"""API keys, by which programs act as a person: what one is, and its SQL.

A key reads `cloister_<id>_<secret>`. The table holds the SHA-256 of the secret, which is 32 random bytes: nothing there to guess.
All keys of an account that was disabled, deleted or given another password end in `identity/store.py`.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from appliance.audit.events import AuditEvent, EventName, ResourceRef
from appliance.identity.models import Principal
from appliance.storage.tables import api_keys

_SHAPE = re.compile(r"cloister_([0-9a-f]{16})_([0-9a-f]{64})", re.ASCII)
_SECRET_BYTES = 32
_ID_BYTES = 8
_DECOY_DIGEST = "0" * 64


class KeyScope(StrEnum):
    """What a key is for. Which acts that opens says `web/guards.py`."""

    ASK = "ask"
    DOCUMENTS = "documents"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as its person sees it; the secret was shown once and is known to its holder alone. Times in milliseconds."""

    id: str
    principal_id: str
    name: str
    scopes: frozenset[KeyScope]
    created_ms: int
    expires_ms: int
    last_used_ms: int | None = None
    """To the minute."""


def insert_key(
    connection: Connection, principal_id: str, name: str, scopes: Iterable[KeyScope], *, now: int, expires_ms: int
) -> tuple[ApiKey, str]:
    """A new key, and what its holder is to keep."""
    key = ApiKey(secrets.token_hex(_ID_BYTES), principal_id, name, frozenset(scopes), now, expires_ms)
    secret = secrets.token_hex(_SECRET_BYTES)
    connection.execute(
        insert(api_keys).values(
            id=key.id,
            principal_id=principal_id,
            name=name,
            digest=_digest(secret),
            scopes=named(key.scopes),
            created_ms=now,
            expires_ms=expires_ms,
        )
    )
    return key, f"cloister_{key.id}_{secret}"


def find_key(connection: Connection, presented: str) -> tuple[ApiKey | None, bool]:
    """The key of that id, and whether the secret is its own. The same work whatever was presented."""
    match = _SHAPE.fullmatch(presented)
    key_id, secret = match.groups() if match else ("", presented)
    row = connection.execute(select(api_keys).where(api_keys.c.id == key_id)).first()
    right = hmac.compare_digest(_digest(secret), row.digest if row else _DECOY_DIGEST)
    return (_key(row), right) if row else (None, False)


def is_shaped(presented: str) -> bool:
    """Whether it reads like a key at all."""
    return _SHAPE.fullmatch(presented) is not None


def list_keys(connection: Connection, principal_id: str) -> list[ApiKey]:
    """A person's keys, the expired ones too, newest first."""
    theirs = select(api_keys).where(api_keys.c.principal_id == principal_id)
    return [_key(row) for row in connection.execute(theirs.order_by(api_keys.c.created_ms.desc(), api_keys.c.id))]


def count_keys(connection: Connection, principal_id: str | None = None) -> dict[str, int]:
    """How many keys each person has who has any, or that one; the expired ones too."""
    counted = select(api_keys.c.principal_id, func.count()).group_by(api_keys.c.principal_id)
    if principal_id is not None:
        counted = counted.where(api_keys.c.principal_id == principal_id)
    return dict(connection.execute(counted).tuples().all())


def end_key(connection: Connection, principal_id: str, key_id: str) -> bool:
    """Whether this person had such a key, which now is gone."""
    gone = delete(api_keys).where(api_keys.c.id == key_id, api_keys.c.principal_id == principal_id)
    return connection.execute(gone).rowcount == 1


def touch_key(connection: Connection, key_id: str, now: int) -> None:
    connection.execute(update(api_keys).where(api_keys.c.id == key_id).values(last_used_ms=now))


def keys_ended(by: Principal, person: Principal, key_ids: Iterable[str], reason: str) -> Iterator[AuditEvent]:
    """The record of each key that ended with one act, for the transaction of that act."""
    for key_id in key_ids:
        about = (ResourceRef("key", key_id), ResourceRef("person", person.pseudonym))
        yield AuditEvent(EventName.KEY_ENDED, by, resources=about, facts={"reason": reason})


def named(scopes: Iterable[KeyScope]) -> str:
    """As they are stored and told."""
    return ",".join(sorted(scopes))


def _key(row: Row[Any]) -> ApiKey:
    known = {str(scope) for scope in KeyScope}
    # one that this version does not know opens nothing
    scopes = frozenset(KeyScope(name) for name in row.scopes.split(",") if name in known)
    return ApiKey(row.id, row.principal_id, row.name, scopes, row.created_ms, row.expires_ms, row.last_used_ms)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
