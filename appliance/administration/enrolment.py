"""Second factors: everybody switches their own on and off, and administrators remove that of somebody who lost the phone.

Whatever it changes about signing in ends the person's sessions: one that was stolen before does not outlive it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from appliance.audit.events import AuditEvent, EventName, Outcome, ResourceRef
from appliance.audit.log import AuditLog
from appliance.errors import Conflict, InvalidInput, NotFound
from appliance.identity import factor_store, store
from appliance.identity.factors import WRONG_CODE, SecondFactors, spend_code
from appliance.identity.models import Principal
from appliance.identity.recovery_codes import new_codes
from appliance.identity.sessions import Sessions
from appliance.identity.totp import matching_step, new_secret, uri_of
from appliance.policy.access import Access
from appliance.policy.actions import Action
from appliance.policy.resources import APPLIANCE
from appliance.storage.clock import now_ms
from appliance.storage.database import Database


@dataclass(frozen=True, slots=True)
class FactorState:
    """Of one's own. `since_ms` is None without one; `required`: a role asks for it."""

    since_ms: int | None
    recovery_codes: int
    required: bool


@dataclass(frozen=True, slots=True, repr=False)
class Begun:
    """What the app is to be told, as text and as the address that the picture holds."""

    secret: str
    uri: str


@dataclass(frozen=True, slots=True, repr=False)
class Enrolled:
    """The recovery codes, which nobody is shown again, and the token of the one session that goes on."""

    recovery_codes: list[str]
    token: str


class Enrolment:
    """Switching second factors on and off. Codes are decided inside the write transaction that acts on them."""

    def __init__(
        self,
        database: Database,
        access: Access,
        audit: AuditLog,
        sessions: Sessions,
        factors: SecondFactors,
        *,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        self._database = database
        self._access = access
        self._audit = audit
        self._sessions = sessions
        self._factors = factors
        self._clock = clock

    def state(self, principal: Principal) -> FactorState:
        """Of whoever asks."""
        self._access.require(principal, Action.ACCOUNT_READ, APPLIANCE)
        with self._database.read() as connection:
            factor = factor_store.load_factor(connection, principal.id)
            left = factor_store.count_recovery_codes(connection, principal.id)
        return FactorState(factor.confirmed_ms if factor else None, left, self._factors.required_of(principal))

    def begin(self, principal: Principal) -> Begun:
        """A secret that counts for nothing until `confirm`. Raises `Conflict` (`factor.exists`)."""
        self._access.require(principal, Action.FACTOR_CREATE, APPLIANCE)
        secret = new_secret()
        with self._database.write() as connection:
            _require_none(connection, principal)
            factor_store.begin_factor(connection, principal.id, secret, self._clock())
            self._audit.append(connection, AuditEvent(EventName.FACTOR_BEGUN, principal))
        return Begun(secret, uri_of(secret, principal.name))

    def confirm(self, principal: Principal, token: str, password: str, code: str) -> Enrolled:
        """From now on the app's codes are asked for, proven by the first of them; all sessions end but one.

        Raises `InvalidInput` (`password.wrong`, `code.wrong`), `Conflict` (`factor.exists`, `factor.not_begun`), `NotSignedIn`
        where the session has ended, and `Throttled` after too many tries.
        """
        self._access.require(principal, Action.FACTOR_CREATE, APPLIANCE)
        proven = self._sessions.prove_password(principal, password, EventName.FACTOR_CREATED)
        codes, now = new_codes(), self._clock()
        with self._database.write() as connection:
            _require_none(connection, principal)
            begun = factor_store.load_factor(connection, principal.id)
            if begun is None:
                raise Conflict("Show the picture first, then enter the code that the app makes of it.", code="factor.not_begun")
            step = matching_step(begun.secret, code, now, after=0)
            if step is None:
                self._refused(connection, principal, EventName.FACTOR_CREATED)
            else:
                self._sessions.require_still(connection, proven)
                factor_store.confirm_factor(connection, principal.id, step, now)
                factor_store.replace_recovery_codes(connection, principal.id, codes)
                renewed = self._sessions.replace(connection, token, principal)
                self._audit.append(connection, AuditEvent(EventName.FACTOR_CREATED, principal))
        if step is None:
            raise InvalidInput(
                "This is not the code that the app should show. Is the clock of your phone right?", code="code.wrong"
            )
        return Enrolled(codes, renewed)

    def renew(self, principal: Principal, password: str, code: str) -> list[str]:
        """New recovery codes in place of those that are left. Raises as `delete` does."""
        self._access.require(principal, Action.FACTOR_RENEW, APPLIANCE)
        codes = new_codes()

        def act(connection: Connection) -> None:
            factor_store.replace_recovery_codes(connection, principal.id, codes)

        self._with_code(principal, password, code, EventName.FACTOR_RENEWED, act)
        return codes

    def delete(self, principal: Principal, token: str, password: str, code: str) -> str:
        """Switch one's own off; all sessions end but one, whose token is returned.

        Raises `InvalidInput` (`password.wrong`, `code.wrong`), `NotFound` (`factor.not_found`), `NotSignedIn` where the session
        has ended, and `Throttled` after too many tries.
        """
        self._access.require(principal, Action.FACTOR_DELETE, APPLIANCE)
        renewed = ""

        def act(connection: Connection) -> None:
            nonlocal renewed
            factor_store.delete_factor(connection, principal.id)
            renewed = self._sessions.replace(connection, token, principal)

        self._with_code(principal, password, code, EventName.FACTOR_DELETED, act)
        return renewed

    def remove(self, principal: Principal, person_id: str, *, at_the_box: bool = False) -> None:
        """That of somebody who lost the phone; their sessions end, and a password alone lets them in.

        Their own nobody removes this way but `at_the_box`, in its shell: whoever is there has the keys of the box anyway. Raises
        `Conflict` (`person.own_account`), `NotFound` (`person.not_found`, `factor.not_found`).
        """
        self._access.require(principal, Action.FACTOR_REMOVE, APPLIANCE)
        if person_id == principal.id and not at_the_box:
            raise Conflict("Your own you switch off under Your account, with a code.", code="person.own_account")
        with self._database.write() as connection:
            account = store.require_account(connection, person_id)
            if not account.has_factor:
                raise _without()
            factor_store.delete_factor(connection, person_id)
            store.end_sessions(connection, person_id)
            about = (ResourceRef("person", account.principal.pseudonym),)
            self._audit.append(connection, AuditEvent(EventName.FACTOR_REMOVED, principal, resources=about))

    def _with_code(
        self, principal: Principal, password: str, code: str, event: EventName, act: Callable[[Connection], None]
    ) -> None:
        proven = self._sessions.prove_password(principal, password, event)
        with self._database.write() as connection:
            if not factor_store.has_factor(connection, principal.id):
                raise _without()
            means = spend_code(connection, principal.id, code, self._clock())
            if means is None:
                self._refused(connection, principal, event)
            else:
                self._sessions.require_still(connection, proven)
                act(connection)
                self._audit.append(connection, AuditEvent(event, principal, facts={"by": means.value}))
        if means is None:
            raise InvalidInput(WRONG_CODE, code="code.wrong")

    def _refused(self, connection: Connection, principal: Principal, event: EventName) -> None:
        facts = {"reason": "wrong_code"}
        self._audit.append(connection, AuditEvent(event, principal, outcome=Outcome.FAILURE, facts=facts))


def _require_none(connection: Connection, principal: Principal) -> None:
    if factor_store.has_factor(connection, principal.id):
        raise Conflict("You have a second factor. To move it to another phone, switch it off first.", code="factor.exists")


def _without() -> NotFound:
    return NotFound("There is no second factor here.", code="factor.not_found")
