"""The Dramatiq broker of the box: Redis queues, a nudge instead of polling, and the whole middleware list."""

from __future__ import annotations

import json
import time
from typing import Any, cast

import redis
from dramatiq import Message, MessageProxy, Middleware
from dramatiq.brokers.redis import RedisBroker, _RedisConsumer
from dramatiq.errors import ConnectionClosed
from dramatiq.middleware import AgeLimit, Retries, ShutdownNotifications, TimeLimit

from appliance.settings import Settings
from workers.connection import connect
from workers.lifecycle import FinishFirst, LogContext

IDLE_MS = 500
"""An idle consumer looks at its queue this often even when no nudge came."""

_BUSY_PAUSE_S = 0.05
_DEAD_MESSAGE_MS = 3_600_000
_HEARTBEAT_TIMEOUT_MS = 15_000
_MAINTENANCE_PER_MILLION = 20_000


class NudgedBroker(RedisBroker):
    """A Redis broker whose idle consumers block on a list instead of polling: a message is fetched within milliseconds,
    and an idle process sleeps.
    """

    @property
    def consumer_class(self) -> type[_NudgedConsumer]:
        return _NudgedConsumer

    def enqueue(self, message: Message[Any], *, delay: int | None = None) -> Message[Any]:
        sent = super().enqueue(message, delay=delay)
        key = nudge_key(sent.queue_name)
        pipeline = self.client.pipeline(transaction=False)
        pipeline.lpush(key, 1)
        pipeline.ltrim(key, 0, 0)
        pipeline.execute()
        return sent

    def waiting(self, queue_name: str) -> set[str]:
        """First arguments (row ids) of the messages that lie in the queue, fetched by nobody yet."""
        ids = cast("list[bytes]", self.client.lrange(f"{self.namespace}:{queue_name}", 0, -1))
        if not ids:
            return set()
        bodies = cast("list[bytes | None]", self.client.hmget(f"{self.namespace}:{queue_name}.msgs", ids))
        return {str(json.loads(body)["args"][0]) for body in bodies if body and json.loads(body)["args"]}


class _NudgedConsumer(_RedisConsumer):
    """Fetches like its parent, but waits on the nudge list where the parent sleeps."""

    def __init__(self, broker: NudgedBroker, queue_name: str, prefetch: int, timeout: int) -> None:
        super().__init__(broker, queue_name, prefetch, timeout=0)  # type: ignore[no-untyped-call]
        self._idle_s = timeout / 1_000

    def __next__(self) -> MessageProxy | None:
        message = cast("MessageProxy | None", super().__next__())  # type: ignore[no-untyped-call]
        if message is None:
            self._wait()
        return message

    def _wait(self) -> None:
        if self.outstanding_message_count >= self.prefetch:
            # leave the nudge where it is until there is room for the message it announces
            time.sleep(_BUSY_PAUSE_S)
            return
        try:
            self.broker.client.blpop([nudge_key(self.queue_name)], timeout=self._idle_s)
        except redis.ConnectionError as error:
            raise ConnectionClosed(error) from None  # type: ignore[no-untyped-call]


def nudge_key(queue_name: str) -> str:
    return f"nudge:{queue_name}"


def middleware() -> list[Middleware]:
    """Everything that stands between a queue and an actor. Authorisation is not here: a middleware that fails lets pass."""
    return [
        # a nudge about a row that was swept long ago is noise
        AgeLimit(),
        # a thread that hangs is interrupted; the row's lease then runs out and the row is swept up
        TimeLimit(),
        # work in progress gets a few seconds to finish when the process ends; before the next one, which interrupts it
        FinishFirst(),
        # actors that ask for it are interrupted when the process ends, so that they let go of their row
        ShutdownNotifications(),
        # without it a failed message counts as done; with max_retries=0 on each actor it is kept for an hour to be looked at
        Retries(max_retries=0),
        # every line logged meanwhile carries the ids of the message
        LogContext(),
    ]


def make_broker(settings: Settings) -> NudgedBroker:
    """A broker on the Redis of this box. Opens no connection."""
    return NudgedBroker(  # type: ignore[no-untyped-call]
        client=connect(settings),
        middleware=middleware(),
        heartbeat_timeout=_HEARTBEAT_TIMEOUT_MS,
        dead_message_ttl=_DEAD_MESSAGE_MS,
        maintenance_chance=_MAINTENANCE_PER_MILLION,
    )
