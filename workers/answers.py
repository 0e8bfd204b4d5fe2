"""Queue `answers`: interactive, holds the language model."""

from __future__ import annotations

from typing import Protocol

import dramatiq
import redis

from appliance.chat.sink import DeltaSink
from appliance.errors import ApplianceError
from appliance.supervisor.names import QueueName
from workers.streams import RedisDeltaSink


class Answers(Protocol):
    """The part of `ChatService` that is needed here."""

    def answer(self, message_id: str, sink: DeltaSink, worker_id: str) -> None: ...


def declare_answer(broker: dramatiq.Broker, chat: Answers, client: redis.Redis, worker_id: str) -> None:
    """Declare the actor `answer(message_id)`."""

    @dramatiq.actor(
        broker=broker,
        queue_name=QueueName.ANSWERS.value,
        max_retries=0,  # the sweep tries again, once the row's lease is over; it alone knows how often that was
        time_limit=600_000,
        max_age=3_600_000,
        throws=(ApplianceError,),
        notify_shutdown=True,
    )
    def answer(message_id: str) -> None:
        chat.answer(message_id, RedisDeltaSink(client, message_id), worker_id)
