"""Queue `ingest`: parses, embeds and indexes; yields to chat."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import dramatiq

from appliance.errors import ApplianceError
from appliance.supervisor.names import QueueName


class Ingesting(Protocol):
    """The part of `DocumentService` that is needed here."""

    def ingest(self, document_id: str, worker_id: str) -> None: ...


class Waiting(Protocol):
    """What tells whether an upload waits."""

    def pending_ids(self) -> Sequence[str]: ...


class Reembeds(Protocol):
    """The part of `Reembedding` that is needed here."""

    def run(self, make_way: Callable[[], bool]) -> None: ...


def declare_ingest(broker: dramatiq.Broker, documents: Ingesting, worker_id: str, parse_timeout_s: int) -> None:
    """Declare the actor `ingest_document(document_id)`."""

    @dramatiq.actor(
        broker=broker,
        queue_name=QueueName.INGEST.value,
        max_retries=0,  # as for answers
        time_limit=(parse_timeout_s + 3_600) * 1_000,  # parsing has its own limit; embedding 100,000 chunks takes half an hour
        max_age=24 * 3_600_000,
        throws=(ApplianceError,),
        notify_shutdown=True,
    )
    def ingest_document(document_id: str) -> None:
        documents.ingest(document_id, worker_id)


def declare_reembed(broker: dramatiq.Broker, reembedding: Reembeds, documents: Waiting) -> None:
    """Declare the actor `reembed(index_number)`. It does all there is to do, and makes way as soon as an upload waits."""

    @dramatiq.actor(
        broker=broker,
        queue_name=QueueName.INGEST.value,
        max_retries=0,
        time_limit=24 * 3_600_000,  # interrupted at any moment it goes on from its last batch
        max_age=600_000,
        throws=(ApplianceError,),
        notify_shutdown=True,
    )
    def reembed(index_number: str) -> None:  # noqa: ARG001 - by it the sweep sees that the nudge lies in the queue
        reembedding.run(lambda: bool(documents.pending_ids()))
