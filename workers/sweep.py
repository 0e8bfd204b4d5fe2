"""Sends the nudges that were lost: for rows that wait and for rows whose worker died."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import redis
import structlog

from appliance.supervisor.names import QueueName
from workers.broker import NudgedBroker
from workers.queue import Queue

RESEND_S = 10
"""A row is nudged again at most this often, unless its message still lies in the queue: then not at all."""

log = structlog.get_logger(__name__)


def resend(
    broker: NudgedBroker, queue: QueueName, pending: Iterable[str], enqueue: Callable[[str], bool], *, at_once: bool = False
) -> int:
    """Nudge the rows in `pending` that have no message waiting; how many were sent.

    `at_once` ignores when a row was nudged last: for the start of a worker, which knows that nobody else works on them.
    """
    try:
        waiting = broker.waiting(queue.value)
        sent = 0
        for row_id in pending:
            marker = f"nudged:{queue.value}:{row_id}"
            fresh = broker.client.set(marker, 1, nx=not at_once, ex=RESEND_S)
            if fresh and row_id not in waiting and enqueue(row_id):
                sent += 1
    except redis.RedisError as error:
        log.warning("sweep.unavailable", queue=queue.value, reason=type(error).__name__)
        return 0
    if sent:
        log.info("sweep.resent", queue=queue.value, count=sent)
    return sent


def resend_answers(broker: NudgedBroker, pending: Iterable[str], *, at_once: bool = False) -> int:
    """`resend` for rows of answers."""
    return resend(broker, QueueName.ANSWERS, pending, Queue(broker).enqueue_answer, at_once=at_once)


def resend_reembedding(broker: NudgedBroker, pending: Iterable[str], *, at_once: bool = False) -> int:
    """`resend` for indexes that are being made, or brought up to date; they go through the queue of uploads, after those."""
    return resend(broker, QueueName.INGEST, pending, Queue(broker).enqueue_reembedding, at_once=at_once)


def resend_golden(broker: NudgedBroker, pending: Iterable[str]) -> int:
    """`resend` for runs of golden sets."""
    return resend(broker, QueueName.MAINTENANCE, pending, Queue(broker).enqueue_golden)


def resend_documents(broker: NudgedBroker, pending: Iterable[str], *, at_once: bool = False) -> int:
    """`resend` for rows of documents."""
    return resend(broker, QueueName.INGEST, pending, Queue(broker).enqueue_ingest, at_once=at_once)
