"""The stream of an answer: written by a worker, read by the web process."""

from __future__ import annotations

import asyncio
import time

import pytest
import redis

from appliance.settings import Settings
from workers.connection import connect, connect_async
from workers.streams import FLUSH_MS, RedisDeltaSink, StreamEvent, read_events, stream_key


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def read(settings: Settings, message_id: str, last_id: str = "0", block_ms: int = 50) -> list[StreamEvent]:
    async def once() -> list[StreamEvent]:
        client = connect_async(settings)
        try:
            return await read_events(client, message_id, last_id, block_ms)
        finally:
            await client.aclose()

    return asyncio.run(once())


def shown(events: list[StreamEvent]) -> str:
    """What a browser shows after these events."""
    text = ""
    for event in events:
        if event.event == "reset":
            text = ""
        if event.event == "delta":
            text = text[: event.data["offset"]] + event.data["text"]
    return text


@pytest.mark.parametrize("last_id", ["", "$", "-", "+", "1-", "x", "1-1-1", "9" * 60, "١"])
def test_what_is_no_entry_id_is_refused(settings: Settings, redis_server, last_id: str) -> None:
    with pytest.raises(ValueError, match="stream"):
        read(settings, "m", last_id)


def test_events_arrive_in_order_and_resume_after_an_id(settings: Settings, redis_server) -> None:
    sink = RedisDeltaSink(connect(settings), "m")
    sink.reset(1)
    sink.stage("searching")
    sink.delta("Wör", 0)
    time.sleep(FLUSH_MS / 1_000)
    sink.delta("ter", 3)
    sink.finished("m")
    events = read(settings, "m")
    assert [event.event for event in events] == ["reset", "stage", "delta", "delta", "done"]
    assert shown(events) == "Wörter"
    assert events[-1].data == {"message_id": "m"}
    assert read(settings, "m", events[2].id) == events[3:]
    assert 0 < connect(settings).ttl(stream_key("m")) <= 600


def test_the_first_delta_goes_at_once_and_the_next_ones_together(settings: Settings, redis_server) -> None:
    clock = Clock()
    sink = RedisDeltaSink(connect(settings), "m", clock)
    sink.reset(1)
    clock.now += 0.001
    sink.delta("a", 0)
    assert shown(read(settings, "m")) == "a"
    for offset, letter in enumerate("bcd", 1):
        clock.now += 0.005
        sink.delta(letter, offset)
    assert shown(read(settings, "m")) == "a"
    clock.now += FLUSH_MS / 1_000
    sink.delta("e", 4)
    assert shown(read(settings, "m")) == "abcde"
    sink.delta("f", 5)
    sink.finished("m")
    events = read(settings, "m")
    assert shown(events) == "abcdef"
    assert [event.event for event in events] == ["reset", "delta", "delta", "delta", "done"]


def test_a_second_attempt_starts_over(settings: Settings, redis_server) -> None:
    first = RedisDeltaSink(connect(settings), "m")
    first.reset(1)
    first.delta("half an ans", 0)
    second = RedisDeltaSink(connect(settings), "m")
    second.reset(2)
    second.delta("whole", 0)
    second.finished("m")
    assert shown(read(settings, "m")) == "whole"


def test_an_outage_disturbs_nothing_and_loses_nothing(settings: Settings, redis_server) -> None:
    clock = Clock()
    sink = RedisDeltaSink(connect(settings), "m", clock)
    sink.reset(1)
    sink.delta("before ", 0)
    redis_server.kill()
    clock.now += 1
    sink.delta("during ", 7)
    clock.now += 1
    redis_server.start()
    sink.delta("after", 14)
    sink.finished("m")
    events = read(settings, "m")
    assert shown(events) == "before during after"
    assert events[-1].event == "done"
    assert 0 < connect(settings).ttl(stream_key("m")) <= 600


def test_a_reader_waits_for_the_first_event(settings: Settings, redis_server) -> None:
    async def watch() -> tuple[list[StreamEvent], float]:
        client = connect_async(settings)
        reading = asyncio.create_task(read_events(client, "m", "0", 5_000))
        await asyncio.sleep(0.1)
        sink = RedisDeltaSink(connect(settings), "m")
        began = time.perf_counter()
        sink.reset(1)
        events = await reading
        waited = time.perf_counter() - began
        await client.aclose()
        return events, waited

    events, waited = asyncio.run(watch())
    assert events[0].event == "reset"
    assert waited < 0.2


def test_a_reader_without_redis_is_told(settings: Settings) -> None:
    settings.run_dir.mkdir()
    with pytest.raises(redis.RedisError):
        read(settings, "m")
