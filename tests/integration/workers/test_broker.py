"""Nudges through a real Redis: quick when there is work, quiet when there is none."""

from __future__ import annotations

import resource
import threading
import time
from collections.abc import Iterator

import dramatiq
import pytest

from appliance.settings import Settings
from workers.broker import IDLE_MS, NudgedBroker, make_broker
from workers.queue import open_queue
from workers.sweep import RESEND_S, resend_answers


@pytest.fixture
def broker(settings: Settings, redis_server) -> NudgedBroker:
    return make_broker(settings)


@pytest.fixture
def seen(broker: NudgedBroker) -> list[tuple[str, float]]:
    """What the actor `answer` was called with, and when."""
    calls: list[tuple[str, float]] = []

    def answer(message_id: str) -> None:
        calls.append((message_id, time.perf_counter()))
        if message_id.startswith("bad"):
            raise RuntimeError("broken")

    dramatiq.actor(answer, broker=broker, queue_name="answers", max_retries=0, notify_shutdown=True)
    return calls


@pytest.fixture
def worker(broker: NudgedBroker, seen) -> Iterator[dramatiq.Worker]:
    worker = dramatiq.Worker(broker, queues={"answers"}, worker_threads=1, worker_timeout=IDLE_MS)
    worker.start()
    yield worker
    worker.stop(timeout=3_000)


def until(condition, seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.0005)


def test_a_queue_without_redis_swallows_the_nudge(settings: Settings) -> None:
    settings.run_dir.mkdir()
    began = time.monotonic()
    assert open_queue(settings).enqueue_answer("m1") is False
    assert time.monotonic() - began < 1


def test_an_idle_worker_reacts_at_once_and_sleeps_meanwhile(settings: Settings, worker, seen) -> None:
    queue = open_queue(settings)
    time.sleep(1)
    waits = []
    for ordinal in range(15):
        time.sleep(0.02 * (ordinal % 4))
        sent = time.perf_counter()
        assert queue.enqueue_answer(f"m{ordinal}")
        until(lambda expected=ordinal + 1: len(seen) == expected)
        waits.append(seen[-1][1] - sent)
    assert sorted(waits)[len(waits) // 2] < 0.020
    before = resource.getrusage(resource.RUSAGE_SELF)
    time.sleep(3)
    after = resource.getrusage(resource.RUSAGE_SELF)
    burnt = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert burnt / 3 < 0.03


def test_a_message_that_fails_runs_once_and_the_next_one_runs(settings: Settings, worker, seen) -> None:
    queue = open_queue(settings)
    queue.enqueue_answer("bad")
    queue.enqueue_answer("good")
    until(lambda: len(seen) == 2)
    time.sleep(0.3)
    assert [name for name, _ in seen] == ["bad", "good"]


def test_the_sweep_sends_each_lost_row_once_and_no_row_that_waits(broker: NudgedBroker, settings: Settings, seen) -> None:
    queue = open_queue(settings)
    queue.enqueue_answer("waiting")
    assert resend_answers(broker, ["waiting", "lost"]) == 1
    assert resend_answers(broker, ["waiting", "lost"]) == 0
    assert broker.waiting("answers") == {"waiting", "lost"}
    broker.flush("answers")
    assert resend_answers(broker, ["lost"]) == 0, "sent a moment ago, perhaps in somebody's hands"
    assert resend_answers(broker, ["lost"], at_once=True) == 1
    assert broker.client.ttl("nudged:answers:lost") <= RESEND_S


def test_a_redis_that_was_killed_is_found_again(settings: Settings, worker, seen, redis_server) -> None:
    queue = open_queue(settings)
    queue.enqueue_answer("before")
    until(lambda: len(seen) == 1)
    redis_server.kill()
    assert queue.enqueue_answer("lost") is False
    redis_server.start()
    assert queue.enqueue_answer("after")
    until(lambda: any(name == "after" for name, _ in seen), 8)


def test_stopping_lets_the_running_message_finish(settings: Settings, broker: NudgedBroker) -> None:
    entered, finished = threading.Event(), threading.Event()

    def answer(message_id: str) -> None:
        entered.set()
        time.sleep(1)
        finished.set()

    dramatiq.actor(answer, broker=broker, queue_name="answers", max_retries=0, notify_shutdown=True)
    worker = dramatiq.Worker(broker, queues={"answers"}, worker_threads=1, worker_timeout=IDLE_MS)
    worker.start()
    open_queue(settings).enqueue_answer("m1")
    assert entered.wait(3)
    worker.stop(timeout=3_000)
    assert finished.is_set()
