"""Queue `answers`: interactive, holds the language model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import dramatiq
import redis
from dramatiq.middleware import TimeLimitExceeded

from appliance.chat.sink import DeltaSink
from appliance.errors import ApplianceError
from appliance.supervisor.names import QueueName
from workers.streams import RedisDeltaSink

_SPARE_S = 120


class Answers(Protocol):
    """The part of `ChatService` that is needed here."""

    def answer_next(
        self, sink_of: Callable[[str], DeltaSink], worker_id: str, overdue: tuple[type[BaseException], ...] = ()
    ) -> None: ...


def declare_answer(broker: dramatiq.Broker, chat: Answers, client: redis.Redis, worker_id: str, answer_timeout_s: int) -> None:
    """Declare the actor `answer(message_id)`. The message says that there is work; whose turn it is, the rows say.

    The time limit is the last net, below the model's own deadline; the turn may be waited for as long as one answer takes.
    """

    @dramatiq.actor(
        broker=broker,
        queue_name=QueueName.ANSWERS.value,
        max_retries=0,  # the sweep tries again, once the row's lease is over; it alone knows how often that was
        time_limit=(2 * answer_timeout_s + _SPARE_S) * 1_000,
        max_age=3_600_000,
        throws=(ApplianceError,),
        notify_shutdown=True,
    )
    def answer(message_id: str) -> None:  # noqa: ARG001 - an argument of the messages
        chat.answer_next(lambda answer_id: RedisDeltaSink(client, answer_id), worker_id, (TimeLimitExceeded,))
