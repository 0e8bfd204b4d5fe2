"""Connections to Redis, for queue, streams and heartbeats alike."""

from __future__ import annotations

from typing import Any

import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.retry import Retry

from appliance.settings import Settings
from appliance.supervisor.sockets import socket_path

_CONNECT_TIMEOUT_S = 2.0


def connect(settings: Settings, *, reply_timeout_s: float = 5.0) -> redis.Redis:
    """A client that gives up at once: whoever needs Redis here has a row in the database to fall back on.

    `reply_timeout_s` must exceed the longest blocking command. Nothing is opened before the first command.
    """
    return redis.Redis(connection_pool=redis.ConnectionPool(**_parameters(settings, reply_timeout_s, Retry(NoBackoff(), 1))))


def connect_async(settings: Settings, *, reply_timeout_s: float = 60.0) -> redis.asyncio.Redis:
    """The same for the event loop of the web process."""
    from redis.asyncio.retry import Retry as AsyncRetry

    parameters = _parameters(settings, reply_timeout_s, AsyncRetry(NoBackoff(), 1), asynchronous=True)
    return redis.asyncio.Redis(connection_pool=redis.asyncio.ConnectionPool(**parameters))


def _parameters(settings: Settings, reply_timeout_s: float, retry: Any, *, asynchronous: bool = False) -> dict[str, Any]:
    shared = {"socket_timeout": reply_timeout_s, "socket_connect_timeout": _CONNECT_TIMEOUT_S, "retry": retry}
    if not settings.redis_url:
        # built from the path, not from the URL, so that any character may stand in a directory's name
        kind = redis.asyncio.UnixDomainSocketConnection if asynchronous else redis.UnixDomainSocketConnection
        shared.pop("socket_connect_timeout")
        return {"connection_class": kind, "path": str(socket_path(settings)), **shared}
    source = redis.asyncio.connection if asynchronous else redis.connection
    parsed: dict[str, Any] = dict(source.parse_url(settings.redis_url))
    if parsed.get("connection_class") in {redis.UnixDomainSocketConnection, redis.asyncio.UnixDomainSocketConnection}:
        shared.pop("socket_connect_timeout")
    return {**shared, **parsed}
