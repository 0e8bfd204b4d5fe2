"""Boxes in which time passes: the clocks of a machine for retention, and things that can grow old."""

from __future__ import annotations

from sqlalchemy import text, update

from appliance.audit.events import EventName
from appliance.audit.store import AuditFilter, AuditRecord, search
from appliance.bootstrap import Appliance
from appliance.chat.expiring import ConversationExpiry
from appliance.chat.models import MessageStatus
from appliance.documents.expiring import DocumentExpiry
from appliance.documents.service import DocumentService
from appliance.identity.models import Principal
from appliance.retention.clock import RetentionClock
from appliance.retrieval.index import SearchIndex
from appliance.storage import tables
from appliance.storage.clock import DAY_MS, now_ms


class Time:
    """The clocks of a machine that is never off; `box` looks at them with each care."""

    def __init__(self, box: Appliance) -> None:
        self.wall_ms, self.mono_ms = now_ms(), 0
        self.clock = RetentionClock(box.database, "boot", lambda: self.wall_ms, lambda: self.mono_ms * 1_000_000)
        self.clock.care()

    def passes(self, days: float) -> int:
        self.mono_ms += int(days * DAY_MS)
        return self.is_set(days)

    def is_set(self, days: float) -> int:
        """Ahead, or back where it is negative."""
        self.wall_ms += int(days * DAY_MS)
        return self.clock.care()


def said(appliance: Appliance, person: Principal, *, turns: int = 1) -> str:
    """A conversation with answers; its id."""
    conversation = appliance.chat.create_conversation(person)
    for _ in range(turns):
        pending = appliance.chat.ask(person, conversation.id, "Where is the ferry?")[1]
        finish(appliance, pending.id)
    return conversation.id


def finish(appliance: Appliance, message_id: str) -> None:
    with appliance.database.write() as connection:
        done = {"status": MessageStatus.DONE, "finished_ms": now_ms(), "text": "At sea."}
        connection.execute(update(tables.messages).where(tables.messages.c.id == message_id).values(done))


def put(service: DocumentService, person: Principal, collection_id: str, name: str, words: str, *, ingest: bool = True) -> str:
    with service.begin_upload(person, collection_id, name) as upload:
        upload.write(words.encode())
        document_id = upload.commit()[0].id
    if ingest:
        service.ingest(document_id, "worker")
    return document_id


def cared_for(appliance: Appliance, told: list[str] | None = None) -> tuple[int, int]:
    """How many conversations and documents went; `told` gets the ids of messages."""
    talks = ConversationExpiry(appliance.database, appliance.audit).run([].extend if told is None else told.extend)
    return talks, DocumentExpiry(appliance.database, appliance.blobs, appliance.audit, SearchIndex()).run()


def events(appliance: Appliance, name: EventName) -> list[AuditRecord]:
    with appliance.database.read() as connection:
        return search(connection, AuditFilter(event=name), limit=200)


def left(appliance: Appliance, *names: str) -> list[int]:
    with appliance.database.read() as connection:
        assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []
        return [connection.execute(text(f"SELECT count(*) FROM {name}")).scalar_one() for name in names]
