"""Server-side sessions: a random token in the cookie, its digest in the table.

A session ends after an idle time, after an absolute time, on signing out, and with any change of password, roles or state of its
account (identity/store.py). Roles are read afresh for each request, never kept in the session.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from sqlalchemy import Connection, delete, insert, select, update

from appliance.audit.events import AuditEvent, EventName, Outcome, ResourceRef
from appliance.audit.log import AuditLog
from appliance.errors import InvalidInput, NotSignedIn
from appliance.identity import store, throttling
from appliance.identity.api_keys import keys_ended
from appliance.identity.factors import WRONG_CODE, Means, spend_code
from appliance.identity.models import NOBODY, Account, Principal
from appliance.identity.passwords import DECOY_HASH, check_strength, hash_password, needs_rehash, verify_password
from appliance.storage.clock import now_ms
from appliance.storage.database import Database
from appliance.storage.tables import sessions

_TOKEN_BYTES = 32
_TOUCH_MS = 60_000
_MAX_TYPED = 200
_SHARED = frozenset({"127.0.0.1", "::1"})
"""Behind these may stand a TLS front with everybody: there the limit of each name alone counts."""


@dataclass(frozen=True, slots=True, repr=False)
class Proven:
    """Account and password hash as they were when the password was verified, and what the tries are counted under."""

    found: tuple[Account, str]
    by_name: str


class Sessions:
    """Signing in and out, and who a token belongs to."""

    def __init__(
        self,
        database: Database,
        audit: AuditLog,
        key: bytes,
        *,
        idle_min: int,
        max_h: int,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        """`key` derives CSRF tokens and throttle subjects; `clock` gives milliseconds since 1970."""
        self._database = database
        self._audit = audit
        self._key = key
        self._idle_ms = idle_min * 60_000
        self._max_ms = max_h * 3_600_000
        self._clock = clock
        # each verification takes 64 MiB: a crowd at the door must not take the memory of the models
        self._hashing = threading.BoundedSemaphore(2)

    def sign_in(self, name: str, password: str, source: str, code: str = "") -> str:
        """A new token. `source` is the network address of the caller, `code` of the app, or a recovery code.

        Raises `NotSignedIn` for a wrong name or password and for a disabled account, all alike; where the password was right and
        the account has a second factor, as `session.code_needed` or `session.code_wrong`. Raises `Throttled` after too many.
        """
        typed = store.comparable_name(name)[:_MAX_TYPED]
        by_name = throttling.subject(self._key, throttling.NAME_LIMIT, typed)
        by_source = throttling.subject(self._key, throttling.SOURCE_LIMIT, source)
        now = self._clock()
        with self._database.write() as connection:
            blocked_s = throttling.count_try(connection, throttling.SOURCE_LIMIT, by_source, now) if source not in _SHARED else 0
            blocked_s = max(blocked_s, throttling.count_try(connection, throttling.NAME_LIMIT, by_name, now))
        with self._database.read() as connection:
            found = store.credentials(connection, typed)
        account, encoded = found or (None, DECOY_HASH)
        with self._hashing:
            # where an account has no password, since the identity provider lets it in, there is none to be right
            right = verify_password(encoded or DECOY_HASH, password)
            renewed = hash_password(password) if right and account and needs_rehash(encoded) else None
        if account is None or not right or account.disabled_ms is not None:
            reason = "unknown_name" if account is None else "disabled" if right else "wrong_password"
            with self._database.write() as connection:
                self._audit.append(connection, _refused(account, typed, source, reason, blocked_s))
            raise NotSignedIn("The name or the password is wrong.", code="session.refused")
        with self._database.write() as connection:
            # disabled, or given another password, while this one was being verified
            if store.credentials(connection, typed) != found:
                raise NotSignedIn("The name or the password is wrong.", code="session.refused")
            means = self._means(connection, account, code)
            if means is not None:
                throttling.clear(connection, by_name)
                if renewed:
                    store.replace_hash(connection, account.principal.id, renewed)
                return self.admit(connection, account.principal, source, {"by": means.value}, factor_shown=False)
            # the tries of the name stay: whoever knows the password is not to guess codes as fast as they like
            if not code:
                throttling.forgive(connection, by_source, now)
            reason = "wrong_code" if code else "code_needed"
            self._audit.append(connection, _refused(account, typed, source, reason, blocked_s))
        raise _code_missing(code)

    def count_try_from(self, source: str) -> None:
        """Of signing in by other means than a password. Raises `Throttled` after too many."""
        if source in _SHARED:
            return
        by_source = throttling.subject(self._key, throttling.SOURCE_LIMIT, source)
        with self._database.write() as connection:
            throttling.count_try(connection, throttling.SOURCE_LIMIT, by_source, self._clock())

    def admit(
        self, connection: Connection, person: Principal, source: str, facts: Mapping[str, str | int], *, factor_shown: bool
    ) -> str:
        """A new token for somebody who was proven, by what `facts` name; takes back the try of `source`.

        `factor_shown`: for this session that counts as a second factor.
        """
        now = self._clock()
        throttling.forgive(connection, throttling.subject(self._key, throttling.SOURCE_LIMIT, source), now)
        throttling.forget_old(connection, now)
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        self._insert(connection, person, token, factor_shown=factor_shown)
        event = AuditEvent(EventName.SESSION_CREATED, person, facts=facts, sealed={"source": source})
        self._audit.append(connection, event)
        return token

    def change_password(self, token: str, current: str, new: str) -> str:
        """Replace the password of whoever the token belongs to; all their sessions end and a new token is returned.

        Raises `NotSignedIn` where the session has ended, `Throttled` after too many tries, which count as tries to sign in with
        this name, and `InvalidInput` for a wrong `current` or a weak `new`.
        """
        person = self.principal(token)
        if person is None:
            raise NotSignedIn("Please sign in.")
        check_strength(new)
        proven = self.prove_password(person, current, EventName.PASSWORD_CHANGED)
        with self._hashing:
            encoded = hash_password(new)
        renewed = secrets.token_urlsafe(_TOKEN_BYTES)
        with self._database.write() as connection:
            self.require_still(connection, proven)
            if not _lives(connection, token):  # signed out meanwhile
                raise NotSignedIn("Please sign in.")
            ended = store.set_password(connection, person.id, encoded)
            self._insert(connection, person, renewed, factor_shown=person.factor_shown)
            self._audit.append(connection, AuditEvent(EventName.PASSWORD_CHANGED, person))
            for event in keys_ended(person, person, ended, "password_changed"):
                self._audit.append(connection, event)
        return renewed

    def prove_password(self, person: Principal, password: str, refused: EventName) -> Proven:
        """What `require_still` takes in the transaction of an act for which somebody must show their own password once more.

        It counts as a try to sign in with this name. Raises `Throttled` after too many, `InvalidInput` (`password.wrong`) for a
        wrong one, after recording `refused` as a failure.
        """
        by_name = throttling.subject(self._key, throttling.NAME_LIMIT, store.comparable_name(person.name))
        with self._database.write() as connection:
            blocked_s = throttling.count_try(connection, throttling.NAME_LIMIT, by_name, self._clock())
        with self._database.read() as connection:
            found = store.credentials(connection, person.name)
        with self._hashing:
            right = found is not None and verify_password(found[1], password)
        if found is None or not right:
            facts = {"reason": "wrong_password", **throttling.block_facts(blocked_s)}
            event = AuditEvent(refused, person, outcome=Outcome.FAILURE, facts=facts)
            with self._database.write() as connection:
                self._audit.append(connection, event)
            raise InvalidInput("The current password is wrong.", code="password.wrong")
        return Proven(found, by_name)

    def require_still(self, connection: Connection, proven: Proven) -> None:
        """Forget the tries. Raises `NotSignedIn` where the account was disabled, or given another password, since.

        Of an account with a second factor only the last try is taken back: its password alone must not make room for more codes.
        """
        account, _ = proven.found
        if store.credentials(connection, account.principal.name) != proven.found:
            raise NotSignedIn("Please sign in.")
        if account.has_factor:
            throttling.forgive(connection, proven.by_name, self._clock())
        else:
            throttling.clear(connection, proven.by_name)

    def replace(self, connection: Connection, token: str, person: Principal) -> str:
        """End all sessions of this person; the token of the one that takes the place of `token`.

        Raises `NotSignedIn` where that has ended meanwhile.
        """
        if not _lives(connection, token):
            raise NotSignedIn("Please sign in.")
        store.end_sessions(connection, person.id)
        renewed = secrets.token_urlsafe(_TOKEN_BYTES)
        self._insert(connection, person, renewed, factor_shown=person.factor_shown)
        return renewed

    def principal(self, token: str) -> Principal | None:
        """Who the token belongs to, with today's roles; None when the session has ended or never was."""
        digest, now = _digest(token), self._clock()
        with self._database.read() as connection:
            row = connection.execute(select(sessions).where(sessions.c.token_sha256 == digest)).first()
            if row is None or now >= row.expires_ms or now - row.last_seen_ms >= self._idle_ms:
                return None
            person = store.load_principal(connection, row.principal_id)
        if person is not None and now - row.last_seen_ms >= min(_TOUCH_MS, self._idle_ms // 2):
            with self._database.write() as connection:
                connection.execute(update(sessions).where(sessions.c.token_sha256 == digest).values(last_seen_ms=now))
        return person and replace(person, factor_shown=bool(row.factor_shown))

    def sign_out(self, token: str) -> None:
        """End the session; nothing happens where it has ended already."""
        digest = _digest(token)
        with self._database.write() as connection:
            row = connection.execute(select(sessions).where(sessions.c.token_sha256 == digest)).first()
            if row is None:
                return
            connection.execute(delete(sessions).where(sessions.c.token_sha256 == digest))
            account = store.load_account(connection, row.principal_id)
            if account is not None:
                self._audit.append(connection, AuditEvent(EventName.SESSION_DELETED, account.principal))

    def forget_tries(self, connection: Connection, name: str) -> None:
        """Of signing in with this name, which nobody has any more."""
        typed = store.comparable_name(name)[:_MAX_TYPED]
        throttling.clear(connection, throttling.subject(self._key, throttling.NAME_LIMIT, typed))

    def remove_expired(self) -> int:
        """Delete sessions past their absolute end; how many."""
        with self._database.write() as connection:
            return _remove_expired(connection, self._clock())

    def csrf_token(self, token: str) -> str:
        """The value that unsafe requests of this session must repeat in a header; it reveals nothing about the token."""
        return hmac.new(self._key, b"csrf/" + token.encode(), hashlib.sha256).hexdigest()

    def csrf_valid(self, token: str, given: str) -> bool:
        """Whether `given` is this session's CSRF token."""
        return hmac.compare_digest(self.csrf_token(token).encode(), given.encode())

    def _means(self, connection: Connection, account: Account, code: str) -> Means | None:
        """By what this person may come in; None where it takes a code and this is none. A code is spent with that."""
        if not account.has_factor:
            return Means.PASSWORD
        return spend_code(connection, account.principal.id, code[:_MAX_TYPED], self._clock())

    def _insert(self, connection: Connection, person: Principal, token: str, *, factor_shown: bool = False) -> None:
        now = self._clock()
        _remove_expired(connection, now)
        connection.execute(
            insert(sessions).values(
                token_sha256=_digest(token),
                principal_id=person.id,
                created_ms=now,
                last_seen_ms=now,
                expires_ms=now + self._max_ms,
                factor_shown=factor_shown,
            )
        )


def _refused(account: Account | None, typed: str, source: str, reason: str, blocked_s: int) -> AuditEvent:
    person = account.principal if account else NOBODY
    return AuditEvent(
        EventName.SESSION_REFUSED,
        NOBODY,
        resources=(ResourceRef("person", person.pseudonym),) if account else (),
        outcome=Outcome.FAILURE,
        facts={"reason": reason, **throttling.block_facts(blocked_s)},
        sealed={"name": typed, "source": source},
        sealed_subject=person.pseudonym,
    )


def _code_missing(given: str) -> NotSignedIn:
    if given:
        return NotSignedIn(WRONG_CODE, code="session.code_wrong")
    return NotSignedIn("Enter the code that your app shows, or a recovery code.", code="session.code_needed")


def _lives(connection: Connection, token: str) -> bool:
    return connection.execute(select(sessions).where(sessions.c.token_sha256 == _digest(token))).first() is not None


def _remove_expired(connection: Connection, now: int) -> int:
    return connection.execute(delete(sessions).where(sessions.c.expires_ms <= now)).rowcount


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
