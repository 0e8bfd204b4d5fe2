"""One worker process for one queue: `python -m workers.main QUEUE --data DIR`."""

from __future__ import annotations

import argparse
import ctypes
import faulthandler
import gc
import os
import secrets
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import dramatiq
import dramatiq.worker
import structlog

from appliance.errors import ApplianceError
from appliance.inference.telemetry import silence
from appliance.settings import Settings, load_settings
from appliance.storage import leases
from appliance.storage.locks import sole_holder
from appliance.storage.tables import documents, golden_runs, messages
from appliance.supervisor.names import QueueName, worker_name
from appliance.supervisor.sealing import seal_own
from appliance.supervisor.signals import ENDING, Signals
from workers.broker import IDLE_MS, NudgedBroker, make_broker
from workers.connection import connect
from workers.heartbeat import PERIOD_S, Heartbeat
from workers.loaded import Loaded
from workers.logs import configure_logs
from workers.maintenance import Schedule
from workers.queue import Queue

if TYPE_CHECKING:
    from appliance.bootstrap import Appliance
    from appliance.evaluation.golden.running import GoldenRunner
    from appliance.inference.load_marks import LoadMarks

INGEST_NICENESS = 19
"""Ingest takes what chat leaves: on a box that answers without a pause a seventieth of it, on an idle one everything."""

EXIT_REFUSED = 2
EXIT_BROKEN = 70
HUNG_S = 180.0
"""Nothing keeps the interpreter's lock this long. A thread of ours would wait for it, too; faulthandler's watch does not."""

LOADING_S = 3_600.0
"""No model takes this long to read, verify and load, also from a slow disk: two ends at this limit count as two crashes."""

_STARTING_S = 900.0
_INTERRUPTED_MS = 3_000
_PAGE_CACHE_MB = {QueueName.ANSWERS: 64, QueueName.INGEST: 16, QueueName.MAINTENANCE: 4}  # only answers search
_THREADS = {QueueName.INGEST: 1, QueueName.MAINTENANCE: 4}  # care, a golden set and clearing take long, and keep no sweep waiting
_RESTART_PAUSE_S = 0.2

log = structlog.get_logger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve a queue until SIGTERM or SIGINT. Exit code 2 and one sentence where the process cannot start."""
    parser = argparse.ArgumentParser(prog="python -m workers.main", description="One worker process of the appliance.")
    parser.add_argument("queue", choices=[name.value for name in QueueName])
    parser.add_argument("--data", type=Path, required=True, help="data directory")
    given = parser.parse_args(arguments)
    queue = QueueName(given.queue)
    # until there is work in hand, the plain end is the right one
    for number in ENDING:
        signal.signal(number, signal.SIG_DFL)
    configure_logs(f"worker-{queue.value}")
    # seconds matter when Redis comes back: Dramatiq's own pauses are three and five of them, and no arguments of its worker
    dramatiq.worker.CONSUMER_RESTART_DELAY_SECS = _RESTART_PAUSE_S
    dramatiq.worker.POST_PROCESS_MESSAGE_RETRY_DELAY_SECS = 1
    try:
        silence()
        settings = load_settings(given.data)
        lock = settings.run_dir / f"worker-{queue.value}.lock"
        with sole_holder(lock, f"Another process already serves the queue {queue.value} of {settings.data_dir}."):
            seal_own(settings, worker_name(queue))
            serve(settings, queue)
    except ApplianceError as error:
        sys.stderr.write(f"{error.sentence}\n")
        return EXIT_REFUSED
    return 0


def serve(settings: Settings, queue: QueueName) -> None:
    """Open the appliance, take up what was left undone, work until told to stop."""
    from appliance.administration.crashed_loads import record_crashed_loads
    from appliance.bootstrap import open_appliance

    if queue is QueueName.INGEST:
        os.nice(INGEST_NICENESS)
    worker_id = f"{queue.value}:{secrets.token_hex(8)}"
    appliance = open_appliance(settings, page_cache_mb=_PAGE_CACHE_MB[queue])
    try:
        broker = make_broker(settings)
        faulthandler.dump_traceback_later(_STARTING_S, exit=True)
        record_crashed_loads(
            worker_name(queue),
            appliance.load_marks,
            database=appliance.database,
            audit=appliance.audit,
            models=appliance.models,
        )
        with _stops_noted(appliance.load_marks):
            _declare(queue, broker, appliance, worker_id)
            _give_back_memory()
            _release(appliance, queue)
            ended = _serve_broker(settings, queue, broker, appliance)
        _release(appliance, queue, forgiven=ended)
        if not ended:
            # a thread still runs native code: taking its memory away would crash
            log.warning("worker.abandoned_work", queue=queue.value)
            appliance.load_marks.withdraw()
            os._exit(0)
    finally:
        faulthandler.cancel_dump_traceback_later()
        appliance.close()


def _give_back_memory() -> None:
    """What loading has left over, to the system: a worker may wait for days (malloc_trim(3), where the C library has it)."""
    gc.collect()
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)


@contextmanager
def _given(limit_s: float) -> Iterator[None]:
    """While we start: end the process if this step takes longer, then watch over the rest as before."""
    faulthandler.dump_traceback_later(limit_s, exit=True)
    try:
        yield
    finally:
        faulthandler.dump_traceback_later(_STARTING_S, exit=True)


@contextmanager
def _stops_noted(marks: LoadMarks) -> Iterator[None]:
    """Until `Signals` takes over: a signal that ends us inside of native code, where no Python runs, is noted by faulthandler,
    which then lets it end us; so it is no crash of what was loaded.
    """
    with marks.stopped() as words:
        for number in ENDING:
            faulthandler.register(number, file=words, all_threads=False, chain=True)
        try:
            yield
        finally:
            for number in ENDING:
                faulthandler.unregister(number)


def _declare(queue: QueueName, broker: NudgedBroker, appliance: Appliance, worker_id: str) -> None:
    """Declare the actors of one queue, and load what they need before the first message wants it."""
    if queue is QueueName.ANSWERS:
        from workers.answers import declare_answer

        settings = appliance.settings
        declare_answer(broker, appliance.chat, connect(settings), worker_id, settings.answer_timeout_s)
        with _given(LOADING_S):
            _load_embedder(appliance)
        with _given(LOADING_S):
            _warm(appliance)
    elif queue is QueueName.INGEST:
        from workers.documents import declare_ingest, declare_reembed

        declare_ingest(broker, appliance.documents, worker_id, appliance.settings.parse_timeout_s)
        with _given(LOADING_S):
            _load_embedder(appliance)
        declare_reembed(broker, appliance.reembedding, appliance.documents)
    else:
        from workers.care import cares
        from workers.golden import declare_golden
        from workers.maintenance import declare_clearing, declare_forwarding, declare_maintenance

        declare_maintenance(broker, appliance.chat, appliance.documents, appliance.reembedding, cares(appliance))
        declare_clearing(
            broker,
            appliance.clearing,
            appliance.conversation_clearing,
            old_documents=appliance.document_expiry,
            old_conversations=appliance.conversation_expiry,
        )
        declare_forwarding(broker, appliance.forwarding)
        forget = partial(vars(appliance).pop, "embedders", None)
        declare_golden(broker, appliance.golden, lambda: _golden_runner(appliance, worker_id), forget)


def _golden_runner(appliance: Appliance, worker_id: str) -> GoldenRunner:
    from appliance.evaluation.golden.running import GoldenRunner

    return GoldenRunner(appliance, worker_id)


def _load_embedder(appliance: Appliance) -> None:
    """Where its file is gone nothing is found, and people are told so; another model can still be made ready."""
    try:
        _ = appliance.embedder
    except ApplianceError as error:
        log.warning("worker.no_embedder", **error.diagnostics())


def _warm(appliance: Appliance) -> None:
    """Without a model that may answer, questions still get an answer: why there is none."""
    try:
        appliance.router.warm()
    except ApplianceError as error:
        log.warning("worker.no_model", **error.diagnostics())


def _release(appliance: Appliance, queue: QueueName, *, forgiven: bool = False) -> None:
    """Let go of rows that a process of this queue still holds: we are the only one, so whoever it was is dead.

    Where that is no fault of the row's (`forgiven`, we were told to stop), the try does not count as one.
    """
    table = {QueueName.ANSWERS: messages, QueueName.INGEST: documents, QueueName.MAINTENANCE: golden_runs}[queue]
    with appliance.database.write() as connection:
        leases.release(connection, table, f"{queue.value}:", forgiven=forgiven)


def _resume(appliance: Appliance, queue: QueueName, broker: NudgedBroker) -> None:
    from workers.sweep import resend_answers, resend_documents, resend_reembedding

    if queue is QueueName.ANSWERS:
        resend_answers(broker, appliance.chat.pending_ids(), at_once=True)
    elif queue is QueueName.INGEST:
        resend_documents(broker, appliance.documents.pending_ids(), at_once=True)
        resend_reembedding(broker, appliance.reembedding.pending_ids(), at_once=True)


def _end_if_broken(appliance: Appliance) -> None:
    """End the process where its language model hangs or has died: another one is started, and tries the questions once more."""
    router = vars(appliance).get("router")
    reason = router.broken() if router is not None else ""
    if reason:
        log.error("worker.broken", reason=reason)
        appliance.load_marks.withdraw()
        os._exit(EXIT_BROKEN)


def _serve_broker(settings: Settings, queue: QueueName, broker: NudgedBroker, appliance: Appliance) -> bool:
    """Work until told to stop; False where work could be neither finished nor interrupted in time."""
    heartbeat = Heartbeat(connect(settings), queue.value)
    loaded = Loaded(settings.run_dir, worker_name(queue), appliance.router.loaded) if queue is QueueName.ANSWERS else None
    schedule = Schedule() if queue is QueueName.MAINTENANCE else None
    sender = Queue(broker)
    with Signals() as signals:
        threads = appliance.answers_at_once if queue is QueueName.ANSWERS else _THREADS[queue]
        worker = dramatiq.Worker(broker, queues={queue.value}, worker_threads=threads, worker_timeout=IDLE_MS)
        worker.start()
        _resume(appliance, queue, broker)
        log.info("worker.ready", queue=queue.value)
        heartbeat.beat()
        if loaded is not None:
            loaded.report()
        faulthandler.dump_traceback_later(HUNG_S, exit=True)
        while not signals.wait(PERIOD_S):
            faulthandler.dump_traceback_later(HUNG_S, exit=True)
            heartbeat.beat()
            _end_if_broken(appliance)
            if loaded is not None:
                loaded.report()
            for name in schedule.due() if schedule else ():
                sender.enqueue_maintenance(name)
        faulthandler.cancel_dump_traceback_later()
        log.info("worker.stopping", queue=queue.value)
        appliance.load_marks.withdraw()  # we may be killed before we have ended
        worker.stop(timeout=_INTERRUPTED_MS)
        return not any(thread.is_alive() for thread in worker.workers)


if __name__ == "__main__":
    sys.exit(main())
