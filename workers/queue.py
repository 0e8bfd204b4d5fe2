"""How the web process and the sweep hand work to the workers: ids only, and never a reason to fail.

The row is the job, the message only a nudge. When Redis is away the nudge is lost and the sweep sends it again.
"""

from __future__ import annotations

import redis
import structlog
from dramatiq import Message
from dramatiq.errors import BrokerError

from appliance.settings import Settings
from appliance.supervisor.names import QueueName
from workers.broker import NudgedBroker, make_broker

log = structlog.get_logger(__name__)


class Queue:
    """Sends nudges. Built once per process; safe to use from several threads."""

    def __init__(self, broker: NudgedBroker) -> None:
        self._broker = broker

    def enqueue_answer(self, message_id: str) -> bool:
        """Ask for the answer row `message_id`; whether the nudge was delivered."""
        return self._send(QueueName.ANSWERS, "answer", message_id)

    def enqueue_ingest(self, document_id: str) -> bool:
        """Ask for the document row `document_id` to be ingested; whether the nudge was delivered."""
        return self._send(QueueName.INGEST, "ingest_document", document_id)

    def enqueue_reembedding(self, index_number: str) -> bool:
        """Ask for the index with this number to be worked on; whether the nudge was delivered."""
        return self._send(QueueName.INGEST, "reembed", index_number)

    def enqueue_golden(self, run_id: str) -> bool:
        """Ask for the run `run_id` of a golden set; whether the nudge was delivered."""
        return self._send(QueueName.MAINTENANCE, "ask_golden", run_id)

    def enqueue_maintenance(self, actor: str) -> bool:
        """Ask for one run of `sweep`, `sweep_golden`, `clear`, `forward` or `care`."""
        return self._send(QueueName.MAINTENANCE, actor)

    def _send(self, queue: QueueName, actor: str, *ids: str) -> bool:
        message: Message[None] = Message(queue_name=queue.value, actor_name=actor, args=ids, kwargs={}, options={})
        try:
            self._broker.enqueue(message)
        except (redis.RedisError, BrokerError) as error:
            log.warning("queue.unavailable", queue=queue.value, ids=ids, reason=type(error).__name__)
            return False
        return True


def open_queue(settings: Settings) -> Queue:
    """The queue of this box, for processes that only send."""
    return Queue(make_broker(settings))
