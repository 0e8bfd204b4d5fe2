"""The names by which the processes of the box find each other's words in Redis."""

from __future__ import annotations

from enum import StrEnum

PROCESSES_KEY = "processes"
"""The supervisor's list of processes (states.py)."""

WEB, REDIS = "web", "redis"
"""Names of processes; those of the workers are made by `worker_name`."""


class QueueName(StrEnum):
    """The queues, each served by one process."""

    ANSWERS = "answers"
    INGEST = "ingest"
    MAINTENANCE = "maintenance"


def worker_name(queue: str) -> str:
    """The process that serves a queue."""
    return f"worker-{queue}"


def heartbeat_key(queue: str) -> str:
    """Where the worker of a queue leaves its sign of life (workers/heartbeat.py)."""
    return f"worker:{queue}"
