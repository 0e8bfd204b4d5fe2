"""How long things stay, as administrators set it: one number for conversations, one for the documents of a shared collection."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from appliance.audit.events import AuditEvent, EventName, ResourceRef
from appliance.audit.log import AuditLog
from appliance.errors import Conflict, InvalidInput
from appliance.identity.models import Principal
from appliance.language.counts import counted
from appliance.policy.access import Access
from appliance.policy.actions import Action
from appliance.policy.resources import APPLIANCE
from appliance.policy.store import require_collection
from appliance.retention.clock import RetentionClock
from appliance.retention.due import conversations_of_age, documents_of_age
from appliance.retention.rules import MOST_DAYS, Rule, shortens
from appliance.retention.store import CONVERSATIONS, put_rule, rule_of
from appliance.storage.database import Database


@dataclass(frozen=True, slots=True)
class Outlook:
    """A number of days, and how many are older already by the clock. `doubtful`: it stands ahead of what is believed."""

    rule: Rule
    going: int
    doubtful: bool


class Retention:
    """What would go by a number, and setting it. `collection_id` is None where the conversations of the box are meant."""

    def __init__(self, database: Database, access: Access, audit: AuditLog, clock: RetentionClock) -> None:
        self._database = database
        self._access = access
        self._audit = audit
        self._clock = clock

    def read(self, principal: Principal, collection_id: str | None = None) -> Outlook:
        """The number as it is. Raises `Denied`, `NotFound`."""
        self._require(principal, collection_id)
        with self._database.write() as connection:
            found = self._as_it_is(connection, collection_id)
            self._record(connection, EventName.RETENTION_READ, principal, collection_id)
        return found

    def outlook(self, principal: Principal, days: int, collection_id: str | None = None) -> Outlook:
        """What setting it to `days` (0: they stay) would come to: nothing is changed. Raises as `change` does, no `Conflict`."""
        self._require(principal, collection_id)
        wanted = _days(days)
        with self._database.write() as connection:
            found = self._outlook(connection, collection_id, wanted)
            self._record(connection, EventName.RETENTION_READ, principal, collection_id, days=wanted or 0, going=found.going)
        return found

    def change(self, principal: Principal, days: int, *, going: int, collection_id: str | None = None) -> Outlook:
        """Let them stay for `days`, 0: for good. `going` is how many the one who changes it was told are older already.

        Raises `InvalidInput` (`retention.days`), and `Conflict` (`retention.more_would_go`) where there are more by now.
        """
        self._require(principal, collection_id)
        wanted = _days(days)
        with self._database.write() as connection:
            if collection_id is not None:
                require_collection(connection, collection_id)
            moment = self._clock.look(connection).believed_ms
            found = self._outlook(connection, collection_id, wanted)
            if found.going > going:
                raise Conflict(
                    f"{counted(found.going, _noun(collection_id))} would go by that number, which is done only where you say so.",
                    code="retention.more_would_go",
                    going=found.going,
                )
            before = rule_of(connection, collection_id or CONVERSATIONS)
            put_rule(connection, collection_id or CONVERSATIONS, found.rule)
            numbers = {"days_before": before.in_force(moment) or 0, "days": wanted or 0, "going": found.going}
            self._record(connection, EventName.RETENTION_CHANGED, principal, collection_id, **numbers)
        return found

    def _require(self, principal: Principal, collection_id: str | None) -> None:
        if collection_id is None:
            self._access.require(principal, Action.RETENTION_UPDATE, APPLIANCE)
        else:
            self._access.require_collection(principal, Action.COLLECTION_UPDATE, collection_id)

    def _record(
        self, connection: Connection, event: EventName, principal: Principal, collection_id: str | None, **numbers: int
    ) -> None:
        about = () if collection_id is None else (ResourceRef("collection", collection_id),)
        facts: dict[str, str | int] = {"of": _noun(collection_id) + "s", **numbers}
        self._audit.append(connection, AuditEvent(event, principal, resources=about, facts=facts))

    def _as_it_is(self, connection: Connection, collection_id: str | None) -> Outlook:
        belief = self._clock.believed(connection)
        rule = rule_of(connection, collection_id or CONVERSATIONS)
        count = _count(connection, collection_id, Rule(rule.days), belief.wall_ms)
        return Outlook(rule, count, belief.doubtful)

    def _outlook(self, connection: Connection, collection_id: str | None, days: int | None) -> Outlook:
        belief = self._clock.believed(connection)
        moment = belief.believed_ms
        before = rule_of(connection, collection_id or CONVERSATIONS)
        sooner = shortens(before.in_force(moment), days)
        # by the clock as it stands: once it is believed all of these go, and nobody is asked again
        count = _count(connection, collection_id, Rule(days), belief.wall_ms) if sooner else 0
        return Outlook(before.changed(days, moment, clock_ms=belief.wall_ms), count, belief.doubtful)


def _count(connection: Connection, collection_id: str | None, rule: Rule, moment_ms: int) -> int:
    if collection_id is None:
        return conversations_of_age(connection, rule, moment_ms)
    return documents_of_age(connection, collection_id, rule, moment_ms)


def _days(days: int) -> int | None:
    if not 0 <= days <= MOST_DAYS:
        raise InvalidInput(f"A number of days from 1 to {MOST_DAYS:,}, or 0: they stay.", code="retention.days")
    return days or None


def _noun(collection_id: str | None) -> str:
    return "conversation" if collection_id is None else "document"
