"""Answers on their way to a browser: one Redis stream per answer.

The stream is a convenience, the row is the answer: whatever is lost here is replayed from the database. Events, each with JSON
data: `reset {attempt}` (forget what you have shown), `stage {name}`, `delta {text, offset}` (offset in characters of the
answer), `done {message_id}`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import redis
import redis.asyncio
import structlog

FLUSH_MS = 50
"""Deltas that arrive within this time of the last write travel together; the first one travels at once."""

_KEPT_AFTER_END_S = 600
_KEPT_MEANWHILE_S = 3_600
_ENTRIES_LIMIT = 4_096
_OUTAGE_PAUSE_S = 0.25

log = structlog.get_logger(__name__)


def stream_key(message_id: str) -> str:
    return f"answer:{message_id}"


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """One entry; `id` is what a browser hands back as `Last-Event-ID`."""

    id: str
    event: str
    data: dict[str, Any]


class RedisDeltaSink:
    """Writes one answer's stream. A Redis that was away disturbs nothing: later the whole text so far is sent."""

    def __init__(self, client: redis.Redis, message_id: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._message_id = message_id
        self._key = stream_key(message_id)
        self._clock = clock
        self._attempt = 1
        self._text = ""  # all of this attempt
        self._sent = 0  # characters of it already in the stream
        self._flushed_at = float("-inf")
        self._broken_until: float | None = None

    def reset(self, attempt: int) -> None:
        """A new try begins; what was streamed before is void."""
        self._attempt, self._text, self._sent = attempt, "", 0
        self._flushed_at = float("-inf")
        self._write(("reset", {"attempt": attempt}), expire_s=_KEPT_MEANWHILE_S)

    def stage(self, name: str) -> None:
        """What the box is doing before the first word."""
        self._write(("stage", {"name": name}))

    def delta(self, text: str, offset: int) -> None:
        """The next piece, standing at `offset` of the answer."""
        self._text = self._text[:offset] + text
        self._sent = min(self._sent, offset)
        if (self._clock() - self._flushed_at) * 1_000 >= FLUSH_MS:
            self._write()

    def finished(self, message_id: str) -> None:
        """The answer is stored: readers go to the database from here on."""
        self._write(("done", {"message_id": message_id}), expire_s=_KEPT_AFTER_END_S)

    def _write(self, *events: tuple[str, dict[str, Any]], expire_s: int | None = None) -> None:
        now = self._clock()
        if self._broken_until is not None and now < self._broken_until:
            return
        entries = list(events)
        if self._broken_until is not None and not (entries and entries[0][0] == "reset"):
            # the stream may be a new, empty one: start it over
            self._sent = 0
            entries.insert(0, ("reset", {"attempt": self._attempt}))
            expire_s = expire_s or _KEPT_MEANWHILE_S
        if carries_text := self._sent < len(self._text):
            unsent = ("delta", {"text": self._text[self._sent :], "offset": self._sent})
            entries.insert(1 if entries and entries[0][0] == "reset" else 0, unsent)
        try:
            pipeline = self._client.pipeline(transaction=False)
            for event, data in entries:
                pipeline.xadd(
                    self._key,
                    {"event": event, "data": json.dumps(data, ensure_ascii=False)},
                    maxlen=_ENTRIES_LIMIT,
                    approximate=True,
                )
            if expire_s is not None:
                pipeline.expire(self._key, expire_s)
            pipeline.execute()
        except redis.RedisError as error:
            if self._broken_until is None:
                log.warning("stream.unavailable", message_id=self._message_id, reason=type(error).__name__)
            self._broken_until = now + _OUTAGE_PAUSE_S
            return
        self._broken_until = None
        if carries_text:
            self._sent, self._flushed_at = len(self._text), now


async def read_events(
    client: redis.asyncio.Redis, message_id: str, last_id: str = "0", block_ms: int = 15_000
) -> list[StreamEvent]:
    """Entries after `last_id` ("0" for all), waiting up to `block_ms` for the first; an empty list when none came.

    Raises `redis.RedisError` when Redis is away, `ValueError` for an id that no stream has given out.
    """
    if not _is_entry_id(last_id):
        raise ValueError("Not an id of a stream entry.")
    reply = await client.xread({stream_key(message_id): last_id}, block=block_ms, count=256)
    entries = [entry for _, stream in _pairs(reply) for entry in stream]
    return [_event(entry_id, fields) for entry_id, fields in entries]


def _pairs(reply: Any) -> list[tuple[Any, Any]]:
    """XREAD answers with a list of pairs in protocol 2 and a mapping, its streams nested once more, in protocol 3."""
    if isinstance(reply, dict):
        return [(key, stream[0] if stream and isinstance(stream[0], list) else stream) for key, stream in reply.items()]
    return list(reply or ())


def _event(entry_id: bytes, fields: dict[bytes, bytes]) -> StreamEvent:
    return StreamEvent(entry_id.decode(), fields[b"event"].decode(), json.loads(fields[b"data"]))


def _is_entry_id(given: str) -> bool:
    milliseconds, _, ordinal = given.partition("-")
    return given.isascii() and len(given) <= 41 and milliseconds.isdigit() and (ordinal.isdigit() or "-" not in given)
