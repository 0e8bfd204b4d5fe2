"""Golden sets, in the queue `maintenance`: those whose time has come are begun, runs that wait are worked on behind all else."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

import dramatiq
import structlog

from appliance.errors import ApplianceError
from appliance.supervisor.names import QueueName
from workers.broker import NudgedBroker
from workers.sweep import resend_golden

NICENESS = 19
"""As for ingest (workers/main.py): a run takes what people leave."""

_LOOK_S = 0.5
_END_S = 20.0

log = structlog.get_logger(__name__)


class Sets(Protocol):
    """The part of `GoldenSets` that is needed here."""

    def any_due(self) -> bool: ...

    def start_due(self) -> int: ...

    def pending_ids(self) -> Sequence[str]: ...


class Runs(Protocol):
    """The part of `GoldenRunner` that is needed here."""

    def run_waiting(self) -> int: ...

    def stop(self) -> None: ...


def declare_golden(broker: NudgedBroker, sets: Sets, runner: Callable[[], Runs], forget: Callable[[], object]) -> None:
    """Declare the actors `sweep_golden()` and `ask_golden(run_id)`. The message says that there is work; which, the rows say.

    `forget` gives back what searching needed, after the last run: this process does it rarely.
    """

    @dramatiq.actor(
        broker=broker,
        queue_name=QueueName.MAINTENANCE.value,
        max_retries=0,  # the next one is seconds away
        time_limit=60_000,
        max_age=10_000,
        throws=(ApplianceError,),
    )
    def sweep_golden() -> None:
        if sets.any_due():
            sets.start_due()
        resend_golden(broker, sets.pending_ids())

    @dramatiq.actor(
        broker=broker,
        queue_name=QueueName.MAINTENANCE.value,
        max_retries=0,  # the sweep tries again, once the row's lease is over
        time_limit=12 * 3_600_000,
        max_age=3_600_000,
        throws=(ApplianceError,),
        notify_shutdown=True,
    )
    def ask_golden(run_id: str) -> None:  # noqa: ARG001 - by it the sweep sees that the nudge lies in the queue
        _work_quietly(runner())
        forget()


def _work_quietly(runner: Runs) -> None:
    """In a thread whose priority is the lowest, as that of all threads is that a model starts from it; priorities only sink."""

    def work() -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        try:
            log.info("golden.done", count=runner.run_waiting())
        except Exception:  # the row says that it failed; whatever it was must be seen, and leaves no text in the log
            log.exception("golden.failed")

    thread = threading.Thread(target=work, name="golden", daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(_LOOK_S)  # interruptions reach this thread between two looks
    finally:
        runner.stop()
        thread.join(_END_S)
