"""Conversations whose hours the tests choose."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable

import pytest
from sqlalchemy import insert

from appliance.bootstrap import Appliance
from appliance.storage import tables

HOUR = 3_600_000
Answered = Callable[..., str]


@pytest.fixture
def answered(appliance: Appliance, alice) -> Answered:
    """Stores a question of alice's and its answer as they ended at `at_ms`; the answer's id."""

    def store(
        at_ms: int,
        *,
        status: str = "DONE",
        reason: str = "stop",
        score: float | None = 20.0,
        timing: dict[str, float] | None = None,
        helpful: bool | None = None,
        supported: int = 0,
        withheld: int = 0,
        question: str = "Where is the key?",
    ) -> str:
        conversation, answer = secrets.token_hex(16), secrets.token_hex(16)
        shared = {"conversation_id": conversation, "created_ms": at_ms, "finished_ms": at_ms}
        with appliance.database.write() as connection:
            connection.execute(
                insert(tables.conversations).values(
                    id=conversation, principal_id=alice.id, title="t", created_ms=at_ms, updated_ms=at_ms
                )
            )
            asked = {"id": secrets.token_hex(16), "ordinal": 1, "role": "user", "text": question, "status": "DONE"}
            connection.execute(insert(tables.messages).values(shared | asked))
            answer_row = {"id": answer, "ordinal": 2, "role": "assistant", "text": "In the drawer.", "status": status}
            answer_row |= {"finish_reason": reason, "best_score": score, "timing": json.dumps(timing or {})}
            answer_row |= {"sentences_supported": supported, "sentences_withheld": withheld}
            connection.execute(insert(tables.messages).values(shared | answer_row))
            if helpful is not None:
                connection.execute(
                    insert(tables.feedback).values(
                        message_id=answer, helpful=helpful, kind="", comment="", shared=False, given_ms=at_ms, changed_ms=at_ms
                    )
                )
        return answer

    return store
