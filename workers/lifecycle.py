"""Context around each message and a gentle end for the last one."""

from __future__ import annotations

import time

import structlog
from dramatiq import Broker, MessageProxy, Middleware, Worker

FINISH_S = 4.0
"""Work in progress may take this long to finish after the process was told to stop; then it is interrupted."""


class LogContext(Middleware):
    """Binds the ids of a message to every log line written while it is processed."""

    def before_process_message(self, broker: Broker, message: MessageProxy) -> None:  # noqa: ARG002
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(actor=message.actor_name, job_id=",".join(map(str, message.args)))

    def after_process_message(
        self,
        broker: Broker,  # noqa: ARG002
        message: MessageProxy,  # noqa: ARG002
        *,
        result: object = None,  # noqa: ARG002
        exception: BaseException | None = None,  # noqa: ARG002
    ) -> None:
        structlog.contextvars.clear_contextvars()

    def after_skip_message(self, broker: Broker, message: MessageProxy) -> None:  # noqa: ARG002
        structlog.contextvars.clear_contextvars()


class FinishFirst(Middleware):
    """Lets running messages finish before `ShutdownNotifications`, which must come later in the list, interrupts them."""

    def before_worker_shutdown(self, broker: Broker, worker: Worker) -> None:  # noqa: ARG002
        for thread in worker.workers:
            thread.stop()
        deadline = time.monotonic() + FINISH_S
        for thread in worker.workers:
            thread.join(max(0.0, deadline - time.monotonic()))
