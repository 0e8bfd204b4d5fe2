"""The sign of life of a worker process: a key in Redis that fades when nobody renews it."""

from __future__ import annotations

import json
import os

import redis
import structlog

from appliance.storage.clock import now_ms
from appliance.supervisor.names import heartbeat_key

PERIOD_S = 2.0
_FADES_AFTER_S = 10

log = structlog.get_logger(__name__)


class Heartbeat:
    """Renews the key of one queue; the first beat says that the process is ready for work."""

    def __init__(self, client: redis.Redis, queue: str) -> None:
        self._client = client
        self._queue = queue
        self._body = json.dumps({"pid": os.getpid(), "ready_ms": now_ms()})
        self._silent = False

    def beat(self) -> bool:
        """Whether Redis heard it; the first miss of an outage is logged."""
        try:
            self._client.set(heartbeat_key(self._queue), self._body, ex=_FADES_AFTER_S)
        except redis.RedisError as error:
            if not self._silent:
                log.warning("heartbeat.unheard", queue=self._queue, reason=type(error).__name__)
            self._silent = True
            return False
        self._silent = False
        return True
