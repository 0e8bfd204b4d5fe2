"""Appending: the exact leaf, no gap, nothing without its act, and two processes at once."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import DatabaseError

from appliance.audit import sealing
from appliance.audit.canonical import commitment
from appliance.audit.events import AuditEvent, EventName, Outcome, ResourceRef
from appliance.audit.integrity import check
from appliance.audit.store import last_seq, unseal
from appliance.bootstrap import Appliance
from appliance.identity.models import SYSTEM, Principal, Role
from appliance.storage import tables

PORTER = Principal("p1", "night porter", "pseudonym-of-the-porter", frozenset({Role.EMPLOYEE}))
CAPTAIN = Principal("p2", "captain", "pseudonym-of-the-captain")
MEMBERS = {
    "v", "seq", "class_seq", "time", "boot_id", "mono_ns", "class_uid", "activity_id", "actor_pseudonym", "action",
    "resources", "decision", "policy_set_sha256", "status", "corr_id", "prev", "_sd",
}  # fmt: skip


def _append(appliance: Appliance, event: AuditEvent) -> int:
    with appliance.database.write() as connection:
        return appliance.audit.append(connection, event)


def _row(appliance: Appliance, seq: int):
    with appliance.database.read() as connection:
        return connection.execute(select(tables.audit_events).where(tables.audit_events.c.seq == seq)).one()


def test_a_leaf_has_exactly_the_members_of_the_format(appliance: Appliance) -> None:
    before = _row(appliance, _append(appliance, AuditEvent(EventName.PERSON_LISTED, PORTER)))
    event = AuditEvent(
        EventName.DOCUMENT_READ,
        PORTER,
        resources=(ResourceRef("document", "d1"), ResourceRef("collection", "c1")),
        correlation_id="corr",
    )
    row = _row(appliance, _append(appliance, event))
    leaf = json.loads(row.body)
    assert set(leaf) == MEMBERS
    assert leaf["seq"] == row.seq == before.seq + 1
    assert leaf["class_seq"] == 1
    assert (leaf["class_uid"], leaf["activity_id"]) == (6006, 14)
    assert leaf["resources"] == [{"id": "d1", "kind": "document"}, {"id": "c1", "kind": "collection"}]
    assert (leaf["decision"], leaf["status"], leaf["corr_id"]) == ("allow", "success", "corr")
    assert leaf["actor_pseudonym"] == PORTER.pseudonym
    assert leaf["policy_set_sha256"] == appliance.policies.sha256
    assert leaf["boot_id"] == appliance.audit.boot_id
    assert int(leaf["mono_ns"]) > 0
    assert leaf["prev"] == before.leaf_hash.hex()
    assert row.leaf_hash == hashlib.sha256(b"\x00" + row.body).digest()
    assert "night porter" not in row.body.decode()


def test_facts_and_the_person_behind_stand_in_the_leaf_where_there_are_any(appliance: Appliance) -> None:
    event = AuditEvent(EventName.ANSWER_RELEASED, SYSTEM, on_behalf_of=PORTER, facts={"tokens": 12}, outcome=Outcome.FAILURE)
    leaf = json.loads(_row(appliance, _append(appliance, event)).body)
    assert set(leaf) == MEMBERS | {"facts", "on_behalf_of"}
    assert (leaf["facts"], leaf["on_behalf_of"]) == ({"tokens": 12}, PORTER.pseudonym)
    assert (leaf["decision"], leaf["status"]) == ("none", "failure")


def test_sealed_values_lie_beside_the_leaf_and_can_be_erased(appliance: Appliance) -> None:
    seq = _append(appliance, AuditEvent(EventName.QUESTION_ASKED, PORTER, sealed={"name": "the boiler room"}))
    row = _row(appliance, seq)
    assert b"boiler" not in row.body
    with appliance.database.read() as connection:
        (sealed,) = connection.execute(select(tables.audit_sealed).where(tables.audit_sealed.c.seq == seq)).all()
        assert unseal(connection, appliance.keys.audit_sealing, seq) == {"name": "the boiler room"}
    assert sealed.subject == PORTER.pseudonym
    assert b"boiler" not in sealed.sealed_value
    salt, value = sealing.unseal(
        appliance.keys.audit_sealing, subject=sealed.subject, seq=seq, field="name", sealed=sealed.sealed_value
    )
    assert json.loads(row.body)["_sd"] == {"name": commitment(salt, "name", value)}
    about = (ResourceRef("person", PORTER.pseudonym),)
    facts: dict[str, str | int] = {"values": 1, "first": seq, "last": seq}
    with appliance.database.write() as connection:
        appliance.audit.append(connection, AuditEvent(EventName.PERSON_DELETED, CAPTAIN, resources=about))
        appliance.audit.append(connection, AuditEvent(EventName.AUDIT_ERASED, CAPTAIN, resources=about, facts=facts))
        connection.execute(text("DELETE FROM audit_sealed"))
        assert unseal(connection, appliance.keys.audit_sealing, seq) == {}
        found = check(connection, appliance.keys.audit_sealing)
        assert (found.intact, found.erased, found.vanished) == (True, 1, ())


def test_a_leaf_says_whose_its_sealed_values_are_where_that_is_not_who_acted(appliance: Appliance) -> None:
    for event, said in (
        (AuditEvent(EventName.PERSON_UPDATED, SYSTEM, sealed={"name": "x"}, sealed_subject=PORTER.pseudonym), PORTER.pseudonym),
        (AuditEvent(EventName.PERSON_UPDATED, PORTER, sealed={"name": "x"}, sealed_subject=PORTER.pseudonym), None),
        (AuditEvent(EventName.PERSON_UPDATED, SYSTEM, on_behalf_of=PORTER, sealed={"name": "x"}), None),
        (AuditEvent(EventName.PERSON_UPDATED, SYSTEM, sealed_subject=PORTER.pseudonym), None),
    ):
        assert json.loads(_row(appliance, _append(appliance, event)).body).get("sealed_of") == said
    with appliance.database.read() as connection:
        assert check(connection, appliance.keys.audit_sealing).intact


def test_an_act_that_fails_leaves_no_leaf_and_no_gap(appliance: Appliance) -> None:
    with appliance.database.read() as connection:
        before = last_seq(connection)
    with pytest.raises(RuntimeError), appliance.database.write() as connection:
        appliance.audit.append(connection, AuditEvent(EventName.PERSON_LISTED, PORTER, sealed={"x": "y"}))
        raise RuntimeError("the act failed after its record")
    assert _append(appliance, AuditEvent(EventName.PERSON_LISTED, PORTER)) == before + 1


def test_text_does_not_fit_into_a_leaf(appliance: Appliance) -> None:
    with pytest.raises(ValueError, match="limit"):
        _append(appliance, AuditEvent(EventName.PERSON_LISTED, PORTER, facts={"essay": "x" * 9_000}))
    with pytest.raises(ValueError, match="canonical"):
        _append(appliance, AuditEvent(EventName.PERSON_LISTED, PORTER, facts={"huge": 2**60}))


@pytest.mark.parametrize("table", ["audit_events", "audit_resources", "audit_sealed"])
@pytest.mark.parametrize("statement", ["DELETE FROM {}", "UPDATE {} SET seq = seq + 1000"])
def test_the_database_itself_refuses_to_change_the_log(appliance: Appliance, table: str, statement: str) -> None:
    about = (ResourceRef("person", "p"),)
    _append(appliance, AuditEvent(EventName.PERSON_LISTED, PORTER, resources=about, sealed={"name": "the boiler room"}))
    with pytest.raises(DatabaseError, match="append-only"), appliance.database.write() as connection:
        connection.execute(text(statement.format(table)))


def test_a_replaced_leaf_is_refused_too(appliance: Appliance) -> None:
    seq = _append(appliance, AuditEvent(EventName.PERSON_LISTED, PORTER))
    for forged in ({"outcome": "failure"}, {"seq": seq + 1}, {"class_seq": 9}, {"seq": seq + 5, "class_seq": 9}):
        row = _row(appliance, seq)._asdict() | forged
        with pytest.raises(DatabaseError, match="append-only"), appliance.database.write() as connection:
            connection.execute(insert(tables.audit_events).prefix_with("OR REPLACE").values(**row))


def test_an_append_reads_no_more_of_a_long_log_than_of_a_short_one(appliance: Appliance) -> None:
    """Counted by the plan: both look-ups must be searches in an index, never scans or sorts."""
    statements = (
        "SELECT seq, leaf_hash FROM audit_events ORDER BY seq DESC LIMIT 1",
        "SELECT max(class_seq) FROM audit_events WHERE class_uid = 3007",
    )
    with appliance.database.read() as connection:
        plans = [str(connection.execute(text(f"EXPLAIN QUERY PLAN {item}")).all()) for item in statements]
    assert "TEMP B-TREE" not in str(plans)
    assert "SEARCH audit_events USING COVERING INDEX" in plans[1]


_APPENDER = """
import sys, time
from pathlib import Path
from appliance.audit.events import AuditEvent, EventName
from appliance.bootstrap import open_appliance
from appliance.identity.models import Principal
from appliance.settings import Settings
appliance = open_appliance(Settings(data_dir=Path(sys.argv[1])))
print("ready", flush=True)
sys.stdin.readline()
names = (EventName.DOCUMENT_READ, EventName.PERSON_LISTED, EventName.QUESTION_ASKED)
for number in range(60):
    with appliance.database.write() as connection:
        person = Principal(sys.argv[2], sys.argv[2], sys.argv[2])
        appliance.audit.append(connection, AuditEvent(names[number % 3], person, sealed={"name": "x"}))
    time.sleep(0.005)  # waiting writers poll for the lock; without a pause the first one in would run to its end
"""


def test_two_processes_append_at_once_without_a_gap(appliance: Appliance, settings) -> None:
    with appliance.database.read() as connection:
        before = last_seq(connection)
    root = Path(__file__).resolve().parents[3]
    command = [sys.executable, "-c", _APPENDER, str(settings.data_dir)]
    running = [
        subprocess.Popen([*command, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=root, text=True)
        for name in ("first", "second")
    ]
    for process in running:
        assert process.stdout.readline() == "ready\n"
    for process in running:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in running:
        process.communicate(timeout=120)
        assert process.returncode == 0
    with appliance.database.read() as connection:
        result = check(connection, appliance.keys.audit_sealing)
        rows = connection.execute(
            text("SELECT actor_pseudonym FROM audit_events WHERE actor_pseudonym IN ('first', 'second') ORDER BY seq")
        ).all()
    assert result.intact, result.reason
    assert result.checked == before + 120
    changes = sum(one != other for one, other in zip(rows, rows[1:], strict=False))
    assert changes > 1, "the two never overlapped, so nothing was shown"
