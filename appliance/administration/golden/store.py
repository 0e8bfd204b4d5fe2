"""Golden sets and their questions as rows."""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Iterable
from dataclasses import fields
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from appliance.administration.golden.models import Expected, GoldenSet, Question, Schedule
from appliance.errors import NotFound
from appliance.storage.clock import now_ms
from appliance.storage.tables import documents, golden_questions, golden_sets


def insert_set(connection: Connection, collection_id: str, name: str, acts_for: str) -> GoldenSet:
    """A new set without questions, not required and on no schedule."""
    made = GoldenSet(secrets.token_hex(16), collection_id, name, False, Schedule.OFF, 3, 0, acts_for, None, now_ms())
    connection.execute(insert(golden_sets).values({item.name: getattr(made, item.name) for item in fields(GoldenSet)}))
    return made


def load_sets(connection: Connection, collection_ids: Collection[str] | None = None) -> list[GoldenSet]:
    """By name; those of `collection_ids` alone where given."""
    statement = select(golden_sets).order_by(golden_sets.c.name, golden_sets.c.id)
    if collection_ids is not None:
        statement = statement.where(golden_sets.c.collection_id.in_(collection_ids))
    return [_set(row) for row in connection.execute(statement)]


def load_set(connection: Connection, set_id: str) -> GoldenSet | None:
    row = connection.execute(select(golden_sets).where(golden_sets.c.id == set_id)).one_or_none()
    return None if row is None else _set(row)


def change_set(connection: Connection, set_id: str, **columns: Any) -> None:
    connection.execute(update(golden_sets).where(golden_sets.c.id == set_id).values(**columns))


def delete_set(connection: Connection, set_id: str) -> None:
    """The set with its questions, runs and their outcomes (foreign keys cascade)."""
    connection.execute(delete(golden_sets).where(golden_sets.c.id == set_id))


def due_sets(connection: Connection, moment_ms: int) -> list[GoldenSet]:
    """Those whose time has come."""
    statement = select(golden_sets).where(golden_sets.c.due_ms <= moment_ms).order_by(golden_sets.c.due_ms)
    return [_set(row) for row in connection.execute(statement)]


def load_questions(connection: Connection, set_id: str) -> list[Question]:
    """In the order in which they were added."""
    statement = select(golden_questions).where(golden_questions.c.set_id == set_id).order_by(golden_questions.c.ordinal)
    return [_question(row) for row in connection.execute(statement)]


def count_questions(connection: Connection) -> dict[str, int]:
    """By set; a set without any is missing."""
    statement = select(golden_questions.c.set_id, func.count()).group_by(golden_questions.c.set_id)
    return dict(connection.execute(statement).tuples().all())


def insert_questions(connection: Connection, set_id: str, expected: Iterable[Expected]) -> list[str]:
    """Add them at the end; their ids."""
    highest = connection.execute(select(func.max(golden_questions.c.ordinal)).where(golden_questions.c.set_id == set_id)).scalar()
    rows = [
        {"id": secrets.token_hex(16), "set_id": set_id, "ordinal": ordinal, **_columns(item)}
        for ordinal, item in enumerate(expected, (highest or 0) + 1)
    ]
    if rows:
        connection.execute(insert(golden_questions), rows)
    return [str(row["id"]) for row in rows]


def change_question(connection: Connection, set_id: str, question_id: str, expected: Expected) -> None:
    """Raises `NotFound` (`golden.question_unknown`)."""
    wanted = (golden_questions.c.id == question_id, golden_questions.c.set_id == set_id)
    if connection.execute(update(golden_questions).where(*wanted).values(**_columns(expected))).rowcount != 1:
        raise _unknown_question()


def delete_question(connection: Connection, set_id: str, question_id: str) -> None:
    """Raises `NotFound` (`golden.question_unknown`)."""
    wanted = (golden_questions.c.id == question_id, golden_questions.c.set_id == set_id)
    if connection.execute(delete(golden_questions).where(*wanted)).rowcount != 1:
        raise _unknown_question()


def document_names(connection: Connection, collection_id: str) -> list[str]:
    """Documents of the collection that can be cited, each name once."""
    wanted = (documents.c.collection_id == collection_id, documents.c.status == "READY")
    return list(connection.execute(select(documents.c.name).where(*wanted).distinct().order_by(documents.c.name)).scalars())


def _columns(expected: Expected) -> dict[str, Any]:
    return {
        "text": expected.text,
        "answers": json.dumps(expected.answers, ensure_ascii=False),
        "document": expected.document,
        "page": expected.page,
        "silent": expected.silent,
    }


def _unknown_question() -> NotFound:
    return NotFound("There is no such question in this set.", code="golden.question_unknown")


def _question(row: Row[Any]) -> Question:
    expected = Expected(row.text, tuple(json.loads(row.answers)), row.document, row.page, row.silent)
    return Question(row.id, row.set_id, row.ordinal, expected)


def _set(row: Row[Any]) -> GoldenSet:
    values = {item.name: getattr(row, item.name) for item in fields(GoldenSet)}
    return GoldenSet(**values | {"schedule": Schedule(row.schedule)})
