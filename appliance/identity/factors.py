"""The second factor of an account, and who must have one: that is asked for each request, of sessions and of API keys alike."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import Connection

from appliance.audit.events import AuditEvent, EventName, Outcome
from appliance.audit.log import AuditLog
from appliance.errors import Denied, SetupError
from appliance.identity import factor_store
from appliance.identity.models import Principal, Role
from appliance.identity.totp import matching_step
from appliance.storage.database import Database

WRONG_CODE = "This code is wrong, or it was used already. An app shows the next one within half a minute."


def required_roles(setting: str) -> frozenset[Role]:
    """The roles that `second_factor_roles` names. Raises `SetupError` for what is no role."""
    named = [name.strip() for name in setting.split(",") if name.strip()]
    unknown = sorted(set(named) - {str(role) for role in Role})
    if unknown:
        sentence = f"Setting second_factor_roles names {', '.join(unknown)}; the roles are {', '.join(Role)}."
        raise SetupError(sentence, code="setup.settings")
    return frozenset(Role(name) for name in named)


class Means(StrEnum):
    """By what somebody signed in, beside their password where they have a second factor."""

    PASSWORD = "password"  # noqa: S105 - a word, not a secret
    APP = "app"
    RECOVERY_CODE = "recovery_code"


def spend_code(connection: Connection, principal_id: str, typed: str, now: int) -> Means | None:
    """By what `typed` proves the second factor of this person, and it is spent with that; None where it proves nothing.

    Belongs into the write transaction that acts on the answer: two of them cannot both find the same code unspent.
    `now` is in milliseconds since 1970.
    """
    factor = factor_store.load_factor(connection, principal_id)
    if factor is None or factor.confirmed_ms is None:
        return None
    step = matching_step(factor.secret, typed, now, after=factor.last_step)
    if step is not None:
        factor_store.spend_step(connection, principal_id, step)
        return Means.APP
    return Means.RECOVERY_CODE if factor_store.spend_recovery_code(connection, principal_id, typed) else None


class SecondFactors:
    """Whether somebody has what their role asks for."""

    def __init__(self, database: Database, audit: AuditLog, required: frozenset[Role]) -> None:
        self._database = database
        self._audit = audit
        self._required = required

    def required_of(self, principal: Principal) -> bool:
        """Whether one of their roles must have a second factor."""
        return not self._required.isdisjoint(principal.roles)

    def missing(self) -> tuple[int, int]:
        """How many active people hold a role that must have a second factor, and how many of them lack it."""
        with self._database.read() as connection:
            held = factor_store.count_of(connection, self._required)
            return held, factor_store.count_of(connection, self._required, lacking=True)

    def may_act(self, principal: Principal) -> bool:
        """False for somebody whose role must have a second factor and who has none here, nor showed one to the provider.

        What else they may say the policies.
        """
        if principal.factor_shown or not self.required_of(principal):
            return True
        with self._database.read() as connection:
            return factor_store.has_factor(connection, principal.id)

    def require(self, principal: Principal, action: str) -> None:
        """Return where `may_act`. Raises `Denied` (`factor.required`), after recording `access.denied`, for all other acts."""
        if self.may_act(principal):
            return
        facts = {"action": action, "policies": "none", "reason": "no_second_factor"}
        with self._database.write() as connection:
            event = AuditEvent(EventName.ACCESS_DENIED, principal, outcome=Outcome.FAILURE, facts=facts)
            self._audit.append(connection, event)
        raise Denied(
            "Your role needs a second factor. Set one up under Your account; until then nothing else is open to you.",
            code="factor.required",
        )
