"""The check finds what somebody with the key and a raw connection did to the log."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from sqlcipher3 import dbapi2

from appliance.audit.canonical import canonical_json, leaf_hash
from appliance.audit.events import AuditEvent, EventName, ResourceRef
from appliance.audit.integrity import Integrity, check
from appliance.bootstrap import Appliance
from appliance.identity.models import Principal
from appliance.storage.append_only import TRIGGERS

PORTER = Principal("p1", "night porter", "porter")
COOK = Principal("p2", "cook", "cook")


@pytest.fixture
def first(appliance: Appliance) -> int:
    """Ten leaves of two classes; the number of the first of them."""
    with appliance.database.write() as connection:
        seqs = [
            appliance.audit.append(
                connection,
                AuditEvent(
                    EventName.DOCUMENT_READ if number % 2 else EventName.PERSON_LISTED,
                    PORTER,
                    resources=(ResourceRef("document", f"d{number}"),),
                    sealed={"name": f"value {number}"},
                ),
            )
            for number in range(10)
        ]
    return seqs[0]


def _tamper(appliance: Appliance, *statements: tuple[str, tuple[Any, ...]]) -> Integrity:
    appliance.database.close()
    raw = dbapi2.connect(str(appliance.settings.database_path), isolation_level=None)
    raw.execute(f"PRAGMA key = \"x'{appliance.keys.database.hex()}'\"")
    triggers = raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name LIKE 'audit_%'").fetchall()
    assert {name for (name,) in triggers} == set(TRIGGERS)
    for (name,) in triggers:
        raw.execute(f"DROP TRIGGER {name}")
    for statement, values in statements:
        assert raw.execute(statement, values).rowcount != 0, statement
    raw.close()
    with appliance.database.read() as connection:
        return check(connection, appliance.keys.audit_sealing)


def _body(appliance: Appliance, seq: int) -> dict[str, Any]:
    with appliance.database.read() as connection:
        found = connection.exec_driver_sql("SELECT body FROM audit_events WHERE seq = ?", (seq,))
        return dict(json.loads(found.scalar_one()))


def _rewritten(appliance: Appliance, seq: int, **changes: Any) -> tuple[bytes, bytes]:
    body = canonical_json(_body(appliance, seq) | changes)
    return body, leaf_hash(body)


def test_an_untouched_log_holds(appliance: Appliance, first: int) -> None:
    result = _tamper(appliance)
    assert result.intact
    assert result.checked == first + 9


def test_an_edited_leaf_is_found(appliance: Appliance, first: int) -> None:
    body, _ = _rewritten(appliance, first + 4, actor_pseudonym="cook")
    result = _tamper(appliance, ("UPDATE audit_events SET body = ? WHERE seq = ?", (body, first + 4)))
    assert result.first_bad_seq == first + 4
    assert "hash" in result.reason


def test_an_edited_leaf_with_a_new_hash_breaks_the_chain_after_it(appliance: Appliance, first: int) -> None:
    body, digest = _rewritten(appliance, first + 4, status="failure")
    statement = "UPDATE audit_events SET body = ?, leaf_hash = ?, outcome = 'failure' WHERE seq = ?"
    result = _tamper(appliance, (statement, (body, digest, first + 4)))
    assert result.first_bad_seq == first + 5
    assert "follow" in result.reason


@pytest.mark.parametrize("offset", [0, 4])
def test_a_deleted_leaf_is_found(appliance: Appliance, first: int, offset: int) -> None:
    seq = first + offset
    result = _tamper(appliance, ("DELETE FROM audit_events WHERE seq = ?", (seq,)))
    assert result.first_bad_seq == seq


def test_a_deleted_leaf_is_found_though_the_rest_was_renumbered(appliance: Appliance, first: int) -> None:
    seq = first + 4
    result = _tamper(
        appliance,
        ("DELETE FROM audit_resources WHERE seq = ?", (seq,)),
        ("DELETE FROM audit_sealed WHERE seq = ?", (seq,)),
        ("DELETE FROM audit_events WHERE seq = ?", (seq,)),
        ("UPDATE audit_events SET seq = seq - 1 WHERE seq > ?", (seq,)),
    )
    assert result.first_bad_seq == seq


def test_an_inserted_leaf_is_found(appliance: Appliance, first: int) -> None:
    last = first + 9
    forged = canonical_json(_body(appliance, last) | {"seq": last + 1})
    statement = (
        "INSERT INTO audit_events SELECT seq + 1, class_uid, class_seq + 1, time_ms, event, actor_pseudonym, outcome, ?, ? "
        "FROM audit_events WHERE seq = ?"
    )
    result = _tamper(appliance, (statement, (forged, leaf_hash(forged), last)))
    assert result.first_bad_seq == last + 1


def test_a_leaf_before_the_first_is_found(appliance: Appliance, first: int) -> None:
    statement = (
        "INSERT INTO audit_events SELECT 0, 1, 1, time_ms, event, actor_pseudonym, outcome, body, leaf_hash "
        "FROM audit_events WHERE seq = 1"
    )
    assert _tamper(appliance, (statement, ())).first_bad_seq == 0


def test_a_cut_that_left_traces_is_found(appliance: Appliance, first: int) -> None:
    result = _tamper(appliance, ("DELETE FROM audit_events WHERE seq >= ?", (first + 8,)))
    assert result.first_bad_seq == first + 8


@pytest.mark.parametrize(
    "change",
    [
        "actor_pseudonym = 'cook'",
        "outcome = 'failure'",
        "time_ms = time_ms + 1",
        "event = 'person.created'",
        "class_seq = 1000",
    ],
)
def test_a_column_that_says_other_than_its_leaf_is_found(appliance: Appliance, first: int, change: str) -> None:
    result = _tamper(appliance, (f"UPDATE audit_events SET {change} WHERE seq = ?", (first + 4,)))
    assert result.first_bad_seq == first + 4


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM audit_resources WHERE seq = ?",
        "UPDATE audit_resources SET resource_id = 'another' WHERE seq = ?",
        "INSERT INTO audit_resources VALUES (?, 'document', 'another')",
    ],
)
def test_a_record_hidden_from_or_slipped_into_a_search_is_found(appliance: Appliance, first: int, statement: str) -> None:
    assert _tamper(appliance, (statement, (first + 4,))).first_bad_seq == first + 4


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_sealed SET sealed_value = (SELECT sealed_value FROM audit_sealed ORDER BY seq LIMIT 1) WHERE seq = ?",
        "UPDATE audit_sealed SET subject = 'cook' WHERE seq = ?",
        "UPDATE audit_sealed SET field = 'other' WHERE seq = ?",
        "UPDATE audit_sealed SET sealed_value = x'00' WHERE seq = ?",
    ],
)
def test_a_moved_or_altered_sealed_value_is_found(appliance: Appliance, first: int, statement: str) -> None:
    assert _tamper(appliance, (statement, (first + 4,))).first_bad_seq == first + 4


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"{", b"{}", b"\xff"])
def test_a_leaf_that_is_no_leaf_is_found(appliance: Appliance, first: int, body: bytes) -> None:
    statement = "UPDATE audit_events SET body = ?, leaf_hash = ? WHERE seq = ?"
    result = _tamper(appliance, (statement, (body, leaf_hash(body), first + 4)))
    assert result.first_bad_seq == first + 4
