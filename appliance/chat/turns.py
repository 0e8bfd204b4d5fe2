"""Whose question is answered next, and who answers beside whom."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

from sqlalchemy import Connection, not_, select

from appliance.chat.claims import unowned
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
    columns = select(messages.c.id, messages.c.attempts, conversations.c.principal_id).join(
        conversations, conversations.c.id == messages.c.conversation_id
    )
    answering = columns.where(messages.c.status == MessageStatus.ANSWERING, not_(unowned()))
    held = Counter(row.principal_id for row in connection.execute(answering))
    asked: dict[str, deque[tuple[int, Waiting]]] = {}
    pending = columns.where(unowned()).order_by(messages.c.created_ms, messages.c.ordinal)
    for place, row in enumerate(connection.execute(pending)):
        asked.setdefault(row.principal_id, deque()).append((place, Waiting(row.id, tried=row.attempts > 0)))
    next_of = [(held[person], questions[0][0], person) for person, questions in asked.items()]
    heapify(next_of)
    ordered = []
    while next_of:
        _, _, person = heappop(next_of)
        ordered.append(asked[person].popleft()[1])
        held[person] += 1
        if asked[person]:
            heappush(next_of, (held[person], asked[person][0][0], person))
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
