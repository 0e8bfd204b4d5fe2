"""The first administrator, made through a one-time link while there is no account at all."""

from __future__ import annotations

import hashlib
import secrets

from sqlalchemy import delete, insert, select, update

from appliance.administration.people import open_account
from appliance.audit.log import AuditLog
from appliance.errors import Conflict, NotFound
from appliance.identity import store
from appliance.identity.models import NOBODY, Principal, Role
from appliance.identity.passwords import check_strength, hash_password
from appliance.policy.access import Access
from appliance.policy.actions import Action
from appliance.policy.resources import APPLIANCE
from appliance.storage.clock import now_ms
from appliance.storage.database import Database
from appliance.storage.tables import setup_links

_VALID_MS = 24 * 3_600_000
_FIRST_ROLES = frozenset({Role.ADMINISTRATOR, Role.EMPLOYEE})


class Setup:
    """Open only until the first account exists."""

    def __init__(self, database: Database, access: Access, audit: AuditLog) -> None:
        self._database = database
        self._access = access
        self._audit = audit

    def needed(self) -> bool:
        """Whether there is no account yet."""
        with self._database.read() as connection:
            return store.count_principals(connection) == 0

    def make_link(self) -> str:
        """A token for the set-up page, good for a day; earlier ones stop working. Raises `Conflict` once there is an account."""
        token = secrets.token_urlsafe(32)
        with self._database.write() as connection:
            if store.count_principals(connection):
                raise Conflict("This box is set up already.", code="setup.done")
            connection.execute(delete(setup_links))
            connection.execute(insert(setup_links).values(token_sha256=_digest(token), created_ms=now_ms()))
        return token

    def valid(self, token: str) -> bool:
        """Whether the token would still be accepted."""
        with self._database.read() as connection:
            row = connection.execute(select(setup_links).where(setup_links.c.token_sha256 == _digest(token))).first()
        return row is not None and row.used_ms is None and now_ms() - row.created_ms < _VALID_MS and self.needed()

    def complete(self, token: str, name: str, password: str) -> Principal:
        """The first administrator, who is an employee as well.

        Raises `NotFound` for a link that is wrong, used or too old, `InvalidInput` for the name or the password; the link
        survives those.
        """
        self._access.require(NOBODY, Action.SETUP_COMPLETE, APPLIANCE)
        if not self.valid(token):
            raise _spent()
        check_strength(password)
        password_hash = hash_password(password)
        with self._database.write() as connection:
            # two tabs may have come this far: only one of them finds the link unused
            used = connection.execute(
                update(setup_links)
                .where(setup_links.c.token_sha256 == _digest(token), setup_links.c.used_ms.is_(None))
                .values(used_ms=now_ms())
            )
            if used.rowcount != 1 or store.count_principals(connection):
                raise _spent()
            return open_account(connection, self._audit, by=NOBODY, name=name, password_hash=password_hash, roles=_FIRST_ROLES)


def _spent() -> NotFound:
    return NotFound("This set-up link is no longer valid. Restart the appliance for a new one.", code="setup.link")


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
