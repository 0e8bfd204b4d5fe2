"""What Redis knows of the box: the supervisor's list of processes, and how much waits in each queue."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec
import redis
import redis.asyncio

from appliance.storage.clock import now_ms
from appliance.supervisor.names import PROCESSES_KEY, QueueName
from web.schemas.administration import ProcessOut

_AWAY = "Redis does not answer: questions and uploads are kept, and worked on when it is back."
_UNSUPERVISED = "No supervisor reports here: the processes of this box were started some other way."


class _Published(msgspec.Struct):
    """An entry of the list that `appliance/supervisor/states.py` writes."""

    name: str
    pid: int | None = None
    rss_mb: float | None = None
    started_ms: int | None = None
    restarts: int = 0
    ready: bool = False


@dataclass(frozen=True, slots=True)
class Running:
    """Processes and queue lengths at `time_ms`; `problem` is a sentence where something could not be asked."""

    time_ms: int
    processes: list[ProcessOut] = field(default_factory=list)
    queues: dict[str, int | None] = field(default_factory=dict)
    problem: str | None = None


async def read_processes(client: redis.asyncio.Redis) -> Running:
    """Never fails: where Redis is away, that is what there is to say."""
    now = now_ms()
    names = [name.value for name in QueueName]
    try:
        published: Any = await client.get(PROCESSES_KEY)
        lengths: list[int | None] = [await _length(client, name) for name in names]
    except (redis.RedisError, OSError):
        return Running(now, queues=dict.fromkeys(names), problem=_AWAY)
    queues = dict(zip(names, lengths, strict=True))
    if not published:
        return Running(now, queues=queues, problem=_UNSUPERVISED)
    entries = msgspec.json.decode(published, type=list[_Published])
    return Running(now, [_process(entry, now) for entry in entries], queues)


async def _length(client: redis.asyncio.Redis, queue: str) -> int:
    """Messages waiting, those put off to later included (the broker's own keys)."""
    waiting: Any = await client.llen(f"dramatiq:{queue}")
    delayed: Any = await client.llen(f"dramatiq:{queue}.DQ")
    return int(waiting) + int(delayed)


def _process(entry: _Published, now_ms: int) -> ProcessOut:
    return ProcessOut(
        name=entry.name,
        state="running" if entry.ready else "starting",
        pid=entry.pid,
        memory_bytes=round(entry.rss_mb * 1_000_000) if entry.rss_mb else None,
        restarts=entry.restarts,
        uptime_s=(now_ms - entry.started_ms) / 1_000 if entry.started_ms else None,
    )
