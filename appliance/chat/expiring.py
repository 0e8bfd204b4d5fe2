"""Conversations that are old enough leave here, in short transactions, behind everything else the box does.

Each is decided inside the transaction that removes it: what somebody writes in meanwhile stays, and so does what an answer is on
its way to, and what belongs to somebody who is held. The rows say what is left, so the work goes on after any crash.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from sqlalchemy import Connection, Row, delete, func, select

from appliance.audit.events import AuditEvent, EventName, ResourceRef
from appliance.audit.holds import held_people
from appliance.audit.log import AuditLog
from appliance.chat.models import MessageStatus
from appliance.identity.models import SYSTEM
from appliance.retention.clock import belief_of
from appliance.retention.due import aged
from appliance.retention.store import CONVERSATIONS, rule_of
from appliance.storage.database import Database
from appliance.storage.tables import conversations, messages, principals

_TURN_S = 20.0
_PAUSE_S = 0.1
"""Writers of other processes look that often whether the lock is free."""

MESSAGES, AT_ONCE = 200, 50
"""In one transaction so many messages and conversations at most; a conversation with more goes alone, whole."""

_UNFINISHED = [status for status in MessageStatus if not status.finished]


class ConversationExpiry:
    """Removes conversations by their age. For workers, not for people."""

    def __init__(self, database: Database, audit: AuditLog) -> None:
        self._database = database
        self._audit = audit
        self._turn = threading.Lock()
        self._done_at = -1
        """The moment believed when nothing was left: until the next look at the clock nothing becomes older."""

    def run(self, forget: Callable[[Sequence[str]], None], turn_s: float = _TURN_S) -> int:
        """Remove what there is, for about `turn_s` seconds; how many. Nothing where another thread is at it.

        `forget` is told the ids of messages that are gone: something of them may be held outside the database.
        """
        if not self._turn.acquire(blocking=False):
            return 0
        try:
            return self._run(forget, time.monotonic() + turn_s)
        finally:
            self._turn.release()

    def _run(self, forget: Callable[[Sequence[str]], None], end: float) -> int:
        removed = 0
        while time.monotonic() < end:
            with self._database.read() as connection:
                belief = belief_of(connection)
                if belief is None or belief.believed_ms == self._done_at:
                    break
                if not due(connection, belief.believed_ms, 1):
                    self._done_at = belief.believed_ms
                    break
            with self._database.write() as connection:
                count, message_ids = self._remove(connection)
            removed += count
            if message_ids:
                forget(message_ids)
            time.sleep(_PAUSE_S)
        return removed

    def _remove(self, connection: Connection) -> tuple[int, list[str]]:
        """How many conversations went, and the ids of their messages."""
        belief = belief_of(connection)
        if belief is None:
            return 0, []
        going = _fitting(due(connection, belief.believed_ms, AT_ONCE))
        ids = [row.id for row in going]
        gone = list(connection.execute(select(messages.c.id).where(messages.c.conversation_id.in_(ids))).scalars())
        connection.execute(delete(conversations).where(conversations.c.id.in_(ids)))  # messages and all of theirs cascade
        days = rule_of(connection, CONVERSATIONS).in_force(belief.believed_ms)
        assert days is not None or not ids
        for row in going:
            about = (ResourceRef("conversation", row.id), ResourceRef("person", row.pseudonym))
            facts: dict[str, str | int] = {"why": "retention", "days": days or 0}
            self._audit.append(connection, AuditEvent(EventName.CONVERSATION_DELETED, SYSTEM, resources=about, facts=facts))
        return len(going), gone


def due(connection: Connection, moment_ms: int, limit: int) -> Sequence[Row[tuple[str, str, int]]]:
    """Some of the conversations that go now, the oldest first, each with how many messages it has."""
    rule = rule_of(connection, CONVERSATIONS)
    of_it = select(func.count()).where(messages.c.conversation_id == conversations.c.id).correlate(conversations)
    in_the_works = select(messages.c.id).where(
        messages.c.conversation_id == conversations.c.id, messages.c.status.in_(_UNFINISHED)
    )
    wanted = select(conversations.c.id, principals.c.pseudonym, of_it.scalar_subquery().label("message_count"))
    joined = wanted.join(principals, principals.c.id == conversations.c.principal_id)
    going = joined.where(
        aged(connection, conversations.c.updated_ms, rule, moment_ms),
        principals.c.deleted_ms.is_(None),  # those of deleted people go anyway, see clearing.py
        conversations.c.principal_id.not_in(held_people()),
        ~in_the_works.exists(),
    )
    return connection.execute(going.order_by(conversations.c.updated_ms).limit(limit)).all()


def _fitting(going: Sequence[Row[tuple[str, str, int]]]) -> Sequence[Row[tuple[str, str, int]]]:
    """As many of the first ones as one transaction takes."""
    total = 0
    for number, row in enumerate(going):
        total += row.message_count
        if number and total > MESSAGES:
            return going[:number]
    return going
