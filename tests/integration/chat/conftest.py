"""A chat service on a real encrypted database with real policies and a scripted language model."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import insert, select

from appliance.audit.log import AuditLog
from appliance.chat.policy import Silence
from appliance.chat.service import ChatService
from appliance.chat.words import content_terms
from appliance.identity.models import Principal, Role
from appliance.identity.store import create_principal
from appliance.inference.routing import Router
from appliance.inference.stub import InsecureStubWarning, stub_router
from appliance.inference.models import CompletionRequest, Delta, FinishReason, Health, Model, PromptMessage, Usage
from appliance.policy.access import Access
from appliance.policy.actions import Action
from appliance.policy.engine import Policies
from appliance.retrieval.models import Hit
from appliance.settings import Settings
from appliance.storage import tables
from appliance.storage.database import Database
from appliance.storage.migrations import migrate

ROOT = Path(__file__).resolve().parents[3]


class ScriptedRuntime:
    """Says what it is told to say, word by word; a token is a word."""

    context_tokens = 4_096
    model = Model("scripted", "language", "none", "0" * 64, 2_000_000_000, "none", 4_096, "none", active=True)

    def __init__(self) -> None:
        self.replies: list[str] = []
        self.requests: list[CompletionRequest] = []
        self.before_each: Callable[[int], None] = lambda _: None

    def count_tokens(self, messages: Sequence[PromptMessage]) -> int:
        return sum(len(message.text.split()) + 4 for message in messages)

    def complete(self, request: CompletionRequest) -> Iterator[Delta]:
        self.requests.append(request)
        reply = self.replies.pop(0) if self.replies else ""
        pieces = [piece + " " for piece in reply.split(" ")]
        for position, piece in enumerate(pieces):
            self.before_each(position)
            if request.cancelled.is_set():
                yield Delta("", FinishReason.CANCELLED, Usage(10, position))
                return
            yield Delta(piece)
        yield Delta("", FinishReason.STOP, Usage(10, len(pieces)))

    def health(self) -> Health:
        return Health(ready=True)

    def close(self) -> None: ...


class WordSearch:
    """Finds chunks of the caller's scope by shared words; similarity is the share of the question's words found."""

    def __init__(self, database: Database, access: Access) -> None:
        self.database, self.access = database, access
        self.queries: list[str] = []

    def search(self, principal: Principal, query: str, limit: int, *, collection_id: str | None = None) -> list[Hit]:
        self.queries.append(query)
        readable = self.access.scope(principal, Action.DOCUMENT_READ).collection_ids
        if collection_id is not None:
            readable &= {collection_id}
        wanted = set(content_terms(query))
        statement = select(tables.chunks, tables.documents.c.name).join(tables.documents)
        with self.database.read() as connection:
            rows = connection.execute(statement.where(tables.chunks.c.collection_id.in_(readable))).all()
        hits = []
        for row in rows:
            share = len(wanted & set(content_terms(row.text))) / max(1, len(wanted))
            if share:
                hits.append(
                    Hit(row.id, row.document_id, row.name, row.collection_id, row.page, row.start, row.end, row.heading,
                        row.text, row.token_count, 20 * share, share, share, 10 * share)
                )  # fmt: skip
        return sorted(hits, key=lambda hit: -hit.score)[:limit]


@dataclass
class RecordingSink:
    """Remembers what a watcher would have seen."""

    seen: list[tuple] = field(default_factory=list)

    def reset(self, attempt: int) -> None:
        self.seen.append(("reset", attempt))

    def stage(self, name: str) -> None:
        self.seen.append(("stage", name))

    def delta(self, text: str, offset: int) -> None:
        self.seen.append(("delta", text, offset))

    def finished(self, message_id: str) -> None:
        self.seen.append(("finished", message_id))

    @property
    def text(self) -> str:
        return "".join(item[1] for item in self.seen if item[0] == "delta")


@dataclass
class Office:
    """The box as these tests see it."""

    database: Database
    access: Access
    audit: AuditLog
    search: WordSearch
    runtime: ScriptedRuntime
    chat: ChatService
    settings: Settings
    router: Router

    def person(self, name: str) -> Principal:
        with self.database.write() as connection:
            return create_principal(connection, name=name, password_hash="x", roles=[Role.EMPLOYEE])

    def collection(self, *readers: Principal) -> str:
        collection_id = secrets.token_hex(8)
        with self.database.write() as connection:
            connection.execute(insert(tables.collections).values(id=collection_id, name="Handbook", created_ms=1))
            for reader in readers:
                connection.execute(
                    insert(tables.grants).values(
                        collection_id=collection_id, grantee_kind="principal", grantee_id=reader.id, permission="read"
                    )
                )
        return collection_id

    def document(self, collection_id: str, name: str, *page_texts: str) -> str:
        """A READY document with one chunk a page."""
        document_id = secrets.token_hex(8)
        with self.database.write() as connection:
            connection.execute(
                insert(tables.documents).values(
                    id=document_id, collection_id=collection_id, name=name, media_type="text/plain", size_bytes=1,
                    sha256=secrets.token_hex(32), blob_name="b", uploaded_by="x", uploaded_ms=1, status="READY",
                )
            )  # fmt: skip
            start = 0
            for number, text in enumerate(page_texts, start=1):
                connection.execute(insert(tables.pages).values(document_id=document_id, number=number, start=start, text=text))
                connection.execute(
                    insert(tables.chunks).values(
                        document_id=document_id, collection_id=collection_id, ordinal=number, page=number, start=start,
                        end=start + len(text), text=text, token_count=len(text.split()),
                    )
                )  # fmt: skip
                start += len(text) + 2
        return document_id

    def events(self) -> list[str]:
        with self.database.read() as connection:
            return list(connection.execute(select(tables.audit_events.c.event).order_by(tables.audit_events.c.seq)).scalars())

    def last_event(self, name: str) -> str:
        """What the log holds of the latest event of this name, but for what is sealed."""
        found = select(tables.audit_events.c.body).where(tables.audit_events.c.event == name)
        with self.database.read() as connection:
            return str(connection.execute(found.order_by(tables.audit_events.c.seq.desc()).limit(1)).scalar_one())


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    settings = Settings(data_dir=tmp_path)
    database = Database(settings.database_path, secrets.token_bytes(32))
    migrate(database)
    policies = Policies(ROOT / "policies")
    audit = AuditLog(secrets.token_bytes(32), "boot", policies.sha256)
    access = Access(policies=policies, database=database, audit=audit)
    search = WordSearch(database, access)
    runtime = ScriptedRuntime()
    with pytest.warns(InsecureStubWarning):
        router = stub_router(runtime)
    chat = ChatService(
        database=database,
        access=access,
        audit=audit,
        search=search,
        router=router,
        settings=settings,
        silence=Silence(threshold=7.1, own_words=0.5, nearest=5.5),
    )
    yield Office(database, access, audit, search, runtime, chat, settings, router)
    database.close()


@pytest.fixture
def sink() -> RecordingSink:
    return RecordingSink()
