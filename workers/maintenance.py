"""Queue `maintenance`: the sweep that makes rows into jobs again, and the hourly care of the data directory."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import dramatiq
import structlog

from appliance.errors import ApplianceError
from appliance.supervisor.names import QueueName
from workers.broker import NudgedBroker
from workers.streams import stream_key
from workers.sweep import resend_answers, resend_documents, resend_reembedding

SWEEP_PERIOD_S = 3.0
GOLDEN_PERIOD_S = 5.0
CLEAR_PERIOD_S = 5.0
FORWARD_PERIOD_S = 5.0
CARE_PERIOD_S = 3_600.0

log = structlog.get_logger(__name__)


class Pending(Protocol):
    """The part of `ChatService`, `DocumentService` and `Reembedding` that is needed here."""

    def pending_ids(self) -> Sequence[str]: ...


class Clears(Protocol):
    """The part of `Clearing` and `DocumentExpiry` that is needed here."""

    def run(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Care:
    """One thing that is done about every hour; it returns how much it found to do."""

    name: str
    act: Callable[[], int]


def declare_maintenance(
    broker: NudgedBroker, chat: Pending, documents: Pending, reembedding: Pending, cares: Sequence[Care]
) -> None:
    """Declare the actors `sweep()` and `care()`."""

    @dramatiq.actor(
        broker=broker,
        queue_name=QueueName.MAINTENANCE.value,
        max_retries=0,  # the next one is seconds away
        time_limit=60_000,
        max_age=10_000,
        throws=(ApplianceError,),
    )
    def sweep() -> None:
        resend_answers(broker, chat.pending_ids())
        resend_documents(broker, documents.pending_ids())
        resend_reembedding(broker, reembedding.pending_ids())

    @dramatiq.actor(
        broker=broker,
        queue_name=QueueName.MAINTENANCE.value,
        max_retries=0,
        time_limit=1_800_000,
        max_age=600_000,
        throws=(ApplianceError,),
    )
    def care() -> None:
        for item in cares:
            try:
                log.info("care.done", care=item.name, count=item.act())
            except Exception:  # one care that fails must not keep the others from being done
                log.exception("care.failed", care=item.name)


class ClearsConversations(Protocol):
    """The part of `ConversationClearing` and `ConversationExpiry` that is needed here."""

    def run(self, forget: Callable[[Sequence[str]], None]) -> int: ...


def declare_clearing(
    broker: NudgedBroker,
    clearing: Clears,
    conversations: ClearsConversations,
    *,
    old_documents: Clears,
    old_conversations: ClearsConversations,
) -> None:
    """Declare the actor `clear()`: what belonged to what was deleted first, then what is old enough to go."""

    def forget_streams(message_ids: Sequence[str]) -> None:
        broker.client.unlink(*map(stream_key, message_ids))

    @dramatiq.actor(
        broker=broker,
        queue_name=QueueName.MAINTENANCE.value,
        max_retries=0,  # the next one is seconds away
        time_limit=600_000,  # its own is far shorter, but a large document has its passages removed to the end
        max_age=10_000,
        throws=(ApplianceError,),
        notify_shutdown=True,
    )
    def clear() -> None:
        if count := conversations.run(forget_streams):
            log.info("clear.conversations", count=count)
        if count := clearing.run():
            log.info("clear.done", count=count)
        if count := old_conversations.run(forget_streams):
            log.info("clear.old_conversations", count=count)
        if count := old_documents.run():
            log.info("clear.old_documents", count=count)


class Forwards(Protocol):
    """The part of `Forwarding` that is needed here."""

    def run(self) -> int: ...


def declare_forwarding(broker: NudgedBroker, forwarding: Forwards) -> None:
    """Declare the actor `forward()`: the log goes to the collector, where one is named."""

    @dramatiq.actor(
        broker=broker,
        queue_name=QueueName.MAINTENANCE.value,
        max_retries=0,  # the next one is seconds away, and the row says when to call
        time_limit=300_000,  # one call ends after two minutes, and the last begins within twenty seconds
        max_age=10_000,
        throws=(ApplianceError,),
        notify_shutdown=True,
    )
    def forward() -> None:
        if count := forwarding.run():
            log.info("forward.done", count=count)


class Schedule:
    """When the next sweeps and the next care are due."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._sweep_at = self._golden_at = self._clear_at = self._forward_at = clock()
        self._care_at = clock() + 60.0  # not while the box starts

    def due(self) -> list[str]:
        """Names of the actors to send now."""
        now, names = self._clock(), []
        if now >= self._sweep_at:
            self._sweep_at = now + SWEEP_PERIOD_S
            names.append("sweep")
        if now >= self._golden_at:
            self._golden_at = now + GOLDEN_PERIOD_S
            names.append("sweep_golden")
        if now >= self._clear_at:
            self._clear_at = now + CLEAR_PERIOD_S
            names.append("clear")
        if now >= self._forward_at:
            self._forward_at = now + FORWARD_PERIOD_S
            names.append("forward")
        if now >= self._care_at:
            self._care_at = now + CARE_PERIOD_S
            names.append("care")
        return names
