"""Boxes as older versions left them: made with the migrations of then, filled in SQL by the columns that there were."""

from __future__ import annotations

import hashlib
from contextlib import closing
from functools import cache
from importlib import import_module
from pathlib import Path

import numpy as np
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text

import appliance.storage.versions
from appliance.audit.canonical import NO_PREVIOUS, canonical_json, commitment, leaf_hash
from appliance.audit.log import utc_text
from appliance.audit.sealing import seal
from appliance.identity.models import Principal, Role
from appliance.identity.passwords import hash_password
from appliance.retrieval.impacts import entry_row, passage_tokens
from appliance.retrieval.partitions import packed, signs
from appliance.settings import Settings
from appliance.storage.blobs import BlobStore
from appliance.storage.data_directory import make_directories
from appliance.storage.database import Database
from appliance.storage.keys import Keys, derive_keys, load_or_create_root_key
from tests.conftest import PASSWORD

REVISIONS = sorted(path.name[1:5] for path in Path(appliance.storage.versions.__file__).parent.glob("v[0-9]*.py"))
READER = Principal(id="p1", name="ana", pseudonym="a" * 32, roles=frozenset({Role.EMPLOYEE}))
PASSAGES = (
    "The greenhouse is watered every morning at six.",
    "Leave is twenty eight days a year, and five may be carried over.",
    "Spare keys hang in the porter's lodge, norm EN-1234/5.",
)
FIRST_CHUNK = 41
DOCUMENTS = 3
AUDITED = 7


class Drawn:
    """An embedder whose vectors are drawn by the text."""

    def embed(self, texts: list[str]) -> np.ndarray:
        return np.stack([vector(text) for text in texts])


def vector(of: str) -> np.ndarray:
    drawn = np.random.default_rng(int(hashlib.sha256(of.encode()).hexdigest()[:8], 16)).standard_normal(384).astype(np.float32)
    return drawn / np.linalg.norm(drawn)


def make_old_box(settings: Settings, revision: str, leaves: int = AUDITED) -> None:
    """A box in use, stopped, at this schema, with so many leaves in its log."""
    make_directories(settings, create=True)
    keys = derive_keys(load_or_create_root_key(settings.root_key_path, create=True))
    with closing(Database(settings.database_path, keys.database)) as database, database.write() as connection:
        build(connection, revision)
        fill(connection, keys, BlobStore(settings.blobs_dir, keys.blobs, keys.blob_names), leaves)
    settings.database_path.chmod(0o600)


def build(connection: Connection, revision: str) -> None:
    with Operations.context(MigrationContext.configure(connection)):
        for path in sorted(Path(appliance.storage.versions.__file__).parent.glob("v[0-9]*.py")):
            if path.name[1:5] <= revision:
                import_module(f"appliance.storage.versions.{path.stem}").upgrade()
    connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"))
    connection.execute(text("INSERT INTO alembic_version VALUES (:revision)"), {"revision": revision})


def put(connection: Connection, table: str, **row: object) -> None:
    columns = ", ".join(f'"{name}"' for name in row)
    connection.execute(text(f"INSERT INTO {table} ({columns}) VALUES ({', '.join(f':{name}' for name in row)})"), row)


def fill(connection: Connection, keys: Keys, blobs: BlobStore, leaves: int) -> None:
    people(connection)
    put(connection, "collections", number=1, id="c1", name="Handbook", created_ms=1)
    put(connection, "collections", number=2, id="c2", name="ana", owner_id="p1", created_ms=1)
    put(connection, "grants", collection_id="c1", grantee_kind="group", grantee_id="g1", permission="read")
    for at, passage in enumerate(PASSAGES):
        document(connection, blobs, at, passage)
    indexed(connection)
    talked(connection)
    audited(connection, keys, leaves)


@cache
def password_hash() -> str:
    return hash_password(PASSWORD)


def people(connection: Connection) -> None:
    for at, (name, role) in enumerate((("ana", "employee"), ("root", "administrator"), ("odile", "officer")), 1):
        put(
            connection,
            "principals",
            id=f"p{at}",
            name=name,
            pseudonym="abc"[at - 1] * 32,
            password_hash=password_hash(),
            created_ms=1,
        )
        put(connection, "roles", principal_id=f"p{at}", role=role)
    put(connection, "groups", id="g1", name="Gardeners")
    put(connection, "group_members", group_id="g1", principal_id="p1")
    put(connection, "sessions", token_sha256="0" * 64, principal_id="p1", created_ms=1, last_seen_ms=1, expires_ms=2**50)
    put(connection, "setup_links", token_sha256="1" * 64, created_ms=1, used_ms=2)


def document(connection: Connection, blobs: BlobStore, at: int, passage: str) -> None:
    stored = blobs.put([passage.encode()], limit_bytes=10_000)
    put(
        connection, "documents", id=f"d{at}", collection_id="c1", name=f"rules-{at}.txt", media_type="text/plain",
        size_bytes=stored.size_bytes, sha256=stored.sha256, blob_name=stored.name, uploaded_by="p2", uploaded_ms=1, status="READY",
        stage="", percent=100, page_count=1, chunk_count=1, attempts=1, lease_until_ms=0,
    )  # fmt: skip
    put(connection, "pages", document_id=f"d{at}", number=1, start=0, text=passage, label="")
    put(
        connection, "chunks", id=FIRST_CHUNK + at, document_id=f"d{at}", collection_id="c1", ordinal=0, page=1, start=0, end=len(passage),
        heading="", text=passage, token_count=9,
    )  # fmt: skip


def indexed(connection: Connection) -> None:
    vectors = np.stack([vector(passage) for passage in PASSAGES])
    for at, (bits, exact) in enumerate(zip(signs(vectors), packed(vectors), strict=True)):
        chunk = FIRST_CHUNK + at
        connection.exec_driver_sql(
            "INSERT INTO search_vectors(chunk_id, collection_number, bits) VALUES (?, 1, vec_bit(?))", (chunk, bits.tobytes())
        )
        put(connection, "search_exact", chunk_id=chunk, vector=exact)
        for step, tokens in enumerate(passage_tokens(1, f"rules-{at}.txt", "", PASSAGES[at])):
            if tokens:
                put(connection, "search_words", rowid=entry_row(chunk, step), tokens=" ".join(tokens))
    put(connection, "search_collections", collection_number=1, chunk_count=len(PASSAGES), generation=5)


def talked(connection: Connection) -> None:
    put(connection, "conversations", id="t1", principal_id="p1", title="Leave", created_ms=1, updated_ms=4)
    usual = {
        "passages_found": 0,
        "passages_used": 0,
        "prompt_tokens": 0,
        "completion_tokens": 0,
        "timing": "{}",
        "stop_requested": 0,
    }
    usual |= {"attempts": 1, "lease_until_ms": 0, "conversation_id": "t1", "status": "DONE", "finished_ms": 4}
    put(connection, "messages", id="m1", ordinal=0, role="user", text="How many days of leave?", created_ms=2, **usual)
    answer = "Twenty eight days [1]."
    put(connection, "messages", id="m2", ordinal=1, role="assistant", text=answer, created_ms=3, finish_reason="stop", **usual)
    put(
        connection, "message_passages", message_id="m2", number=1, chunk_id=FIRST_CHUNK + 1, document_id="d1", page=1, start=0, end=20,
        score=0.75,
    )  # fmt: skip
    put(connection, "citations", message_id="m2", ordinal=0, number=1, answer_start=18, answer_end=21, page=1, start=0, end=20)


def audited(connection: Connection, keys: Keys, leaves: int) -> None:
    """A chain of leaves of one class, each with a sealed value."""
    previous, salt = NO_PREVIOUS, b"s" * 16
    for seq in range(1, leaves + 1):
        leaf = {
            "v": 1, "seq": seq, "class_seq": seq, "time": utc_text(seq), "boot_id": "boot", "mono_ns": str(seq), "class_uid": 6003,
            "activity_id": 1, "actor_pseudonym": READER.pseudonym, "action": "question.asked", "resources": [{"kind": "conversation", "id": "t1"}],
            "decision": "allow", "policy_set_sha256": "0" * 64, "status": "success", "corr_id": "", "prev": previous.hex(),
            "_sd": {"question": commitment(salt, "question", f"question {seq}")},
        }  # fmt: skip
        body = canonical_json(leaf)
        previous = leaf_hash(body)
        put(
            connection, "audit_events", seq=seq, class_uid=6003, class_seq=seq, time_ms=seq, event="question.asked",
            actor_pseudonym=READER.pseudonym, outcome="success", body=body, leaf_hash=previous,
        )  # fmt: skip
        put(connection, "audit_resources", seq=seq, kind="conversation", resource_id="t1")
        sealed = seal(keys.audit_sealing, subject=READER.pseudonym, seq=seq, field="question", salt=salt, value=f"question {seq}")
        put(connection, "audit_sealed", seq=seq, field="question", subject=READER.pseudonym, sealed_value=sealed)
