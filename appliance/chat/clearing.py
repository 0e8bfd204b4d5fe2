"""The conversations of deleted people leave here, in short transactions, behind everything else the box does.

Nobody reaches them any longer: they belong to nobody who could sign in. The rows say what is left to do, so the work goes on
after any crash.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from sqlalchemy import Connection, Row, delete, select

from appliance.audit.events import AuditEvent, EventName, ResourceRef
from appliance.audit.log import AuditLog
from appliance.chat.store import delete_conversation
from appliance.identity.models import SYSTEM
from appliance.identity.store import load_principal
from appliance.storage.database import Database
from appliance.storage.tables import conversations, messages, principals

_TURN_S = 20.0
_PAUSE_S = 0.1
"""Writers of other processes look that often whether the lock is free."""

MESSAGES, CONVERSATIONS = 200, 50
"""In one transaction, at most: with their passages, citations and judgements."""


class ConversationClearing:
    """Removes conversations of deleted people. For workers, not for people."""

    def __init__(self, database: Database, audit: AuditLog) -> None:
        self._database = database
        self._audit = audit
        self._turn = threading.Lock()

    def run(self, forget: Callable[[Sequence[str]], None], turn_s: float = _TURN_S) -> int:
        """Remove what there is, for about `turn_s` seconds; how many conversations. Nothing where another thread is at it.

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
                if not _left(connection, 1):
                    break
            with self._database.write() as connection:
                count, message_ids = self._remove(connection)
            removed += count
            if message_ids:
                forget(message_ids)
            time.sleep(_PAUSE_S)
        return removed

    def _remove(self, connection: Connection) -> tuple[int, list[str]]:
        """How many conversations went whole, and the ids of the messages that went."""
        count = 0
        gone: list[str] = []
        for row in _left(connection, CONVERSATIONS):
            wanted = select(messages.c.id).where(messages.c.conversation_id == row.id).limit(MESSAGES + 1 - len(gone))
            ids = list(connection.execute(wanted).scalars())
            room = MESSAGES - len(gone)
            connection.execute(delete(messages).where(messages.c.id.in_(ids[:room])))
            gone += ids[:room]
            if len(ids) > room:
                break
            delete_conversation(connection, row.id)
            self._record(connection, row)
            count += 1
        return count, gone

    def _record(self, connection: Connection, row: Row[tuple[str, str, str]]) -> None:
        about = (ResourceRef("conversation", row.id), ResourceRef("person", row.pseudonym))
        by = load_principal(connection, row.deleted_by)
        event = AuditEvent(EventName.CONVERSATION_DELETED, SYSTEM, resources=about, on_behalf_of=by, facts={"with": "person"})
        self._audit.append(connection, event)


def _left(connection: Connection, limit: int) -> Sequence[Row[tuple[str, str, str]]]:
    """Some of the conversations whose people were deleted."""
    columns = select(conversations.c.id, principals.c.pseudonym, principals.c.deleted_by)
    joined = columns.join(principals, principals.c.id == conversations.c.principal_id)
    # asked of people first: from conversations to their people every conversation of the box is read
    gone = select(principals.c.id).where(principals.c.deleted_ms.is_not(None)).scalar_subquery().correlate(None)
    return connection.execute(joined.where(conversations.c.principal_id.in_(gone)).limit(limit)).all()
