"""Whose question is answered next, and who answers beside whom."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection, select

from appliance.chat.claims import pending_ids
from appliance.chat.models import MessageStatus
from appliance.storage.tables import conversations, messages

_LOOK_S = 0.5
"""A thread that waits for its turn looks up this often: an interruption reaches it only between two waits."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """An answer that nobody works on; `tried` says that whoever did has died."""

    message_id: str
    tried: bool


def waiting_in_turn(connection: Connection) -> list[Waiting]:
    """Answers nobody works on, in the order in which they should be taken up.

    Whoever has fewest answers in the works comes first, counted as if those before were in the works already; among equals
    whoever asked first. Nobody's ten questions keep another person's one waiting.
    """
    waiting = pending_ids(connection)
    columns = select(messages.c.id, messages.c.attempts, conversations.c.principal_id).join(
        conversations, conversations.c.id == messages.c.conversation_id
    )
    rows = {row.id: row for row in connection.execute(columns.where(messages.c.id.in_(waiting)))}
    answering = columns.where(messages.c.status == MessageStatus.ANSWERING, messages.c.id.not_in(waiting))
    held = Counter(row.principal_id for row in connection.execute(answering))
    left, ordered = [rows[message_id] for message_id in waiting if message_id in rows], []
    while left:
        first = min(left, key=lambda row: held[row.principal_id])  # the first of several lowest ones, thus the oldest
        left.remove(first)
        held[first.principal_id] += 1
        ordered.append(Waiting(first.id, tried=first.attempts > 0))
    return ordered


class Company:
    """Lets first tries run beside each other and second tries alone.

    A question that was in the works when the process died may be what killed it: it must not take others with it again.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._together = 0
        self._alone = False
        self._wanting_alone = 0

    @contextmanager
    def entered(self, *, alone: bool) -> Iterator[None]:
        """Waits until this answer may run; those who want to be alone go first."""
        with self._changed:
            if alone:
                self._wanting_alone += 1
                try:
                    while self._alone or self._together:
                        self._changed.wait(_LOOK_S)
                finally:
                    self._wanting_alone -= 1
                self._alone = True
            else:
                while self._alone or self._wanting_alone:
                    self._changed.wait(_LOOK_S)
                self._together += 1
        try:
            yield
        finally:
            with self._changed:
                if alone:
                    self._alone = False
                else:
                    self._together -= 1
                self._changed.notify_all()
