"""Queue `answers`: interactive, holds the language model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import dramatiq
import redis

from appliance.chat.sink import DeltaSink
from appliance.errors import ApplianceError
from appliance.supervisor.names import QueueName
from workers.streams import RedisDeltaSink


class Answers(Protocol):
    """The part of `ChatService` that is needed here."""

    def answer_next(self, sink_of: Callable[[str], DeltaSink], worker_id: str) -> None: ...


def declare_answer(broker: dramatiq.Broker, chat: Answers, client: redis.Redis, worker_id: str) -> None:
    """Declare the actor `answer(message_id)`. The message says that there is work; whose turn it is, the rows say."""

    @dramatiq.actor(
        broker=broker,
        queue_name=QueueName.ANSWERS.value,
        max_retries=0,  # the sweep tries again, once the row's lease is over; it alone knows how often that was
        time_limit=600_000,
        max_age=3_600_000,
        throws=(ApplianceError,),
        notify_shutdown=True,
    )
    def answer(message_id: str) -> None:  # noqa: ARG001 - an argument of the messages
        chat.answer_next(lambda answer_id: RedisDeltaSink(client, answer_id), worker_id)
