"""Searching and exporting the log, which is an act in the log."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.audit import store
from appliance.audit.events import AuditEvent, EventName, Outcome, ResourceRef
from appliance.audit.store import AuditFilter
from appliance.bootstrap import Appliance
from appliance.errors import Denied, InvalidInput, NotFound
from appliance.identity.models import SYSTEM, Principal, Role


@pytest.fixture
def clerk(appliance: Appliance) -> Principal:
    return _person(appliance, "=cmd|' /C calc'!A0")


@pytest.fixture
def reviewer(appliance: Appliance) -> Principal:
    return _person(appliance, "reviewer", Role.OFFICER)


@pytest.fixture
def logged(appliance: Appliance, clerk: Principal) -> int:
    """Number of the first of: a document read, an answer on behalf of the clerk, a refusal."""
    with appliance.database.write() as connection:
        first = appliance.audit.append(
            connection, AuditEvent(EventName.DOCUMENT_READ, clerk, resources=(ResourceRef("document", "d1"),))
        )
        appliance.audit.append(connection, AuditEvent(EventName.ANSWER_RELEASED, SYSTEM, on_behalf_of=clerk))
        appliance.audit.append(
            connection,
            AuditEvent(
                EventName.SESSION_REFUSED,
                SYSTEM,
                resources=(ResourceRef("person", clerk.pseudonym),),
                outcome=Outcome.FAILURE,
                correlation_id="-1+1",
                sealed={"source": "192.0.2.7"},
            ),
        )
    return first


def _person(appliance: Appliance, name: str, *roles: Role) -> Principal:
    from appliance.identity.store import create_principal

    with appliance.database.write() as connection:
        return create_principal(connection, name=name, password_hash="none", roles=roles or (Role.EMPLOYEE,))


def _events(appliance: Appliance) -> list[str]:
    with appliance.database.read() as connection:
        return [item.event for item in store.following(connection, AuditFilter())]


def test_only_an_officer_looks(appliance: Appliance, administrator: Principal, clerk: Principal, logged: int) -> None:
    for who in (administrator, clerk):
        with pytest.raises(Denied):
            appliance.audit_review.search(who, AuditFilter())
        with pytest.raises(Denied):
            appliance.audit_review.export(who, AuditFilter(), "csv")
        with pytest.raises(Denied):
            appliance.audit_review.disclose(who, logged)
        with pytest.raises(Denied):
            appliance.audit_review.people(who)
    assert _events(appliance)[-8:] == ["access.denied"] * 8


def test_a_search_is_recorded_with_its_filter(appliance: Appliance, reviewer: Principal, clerk: Principal, logged: int) -> None:
    wanted = AuditFilter(pseudonym=clerk.pseudonym, event=EventName.DOCUMENT_READ)
    found = appliance.audit_review.search(reviewer, wanted)
    assert [item.seq for item in found] == [logged]
    record = appliance.audit_review.search(reviewer, AuditFilter(), limit=1)[0]
    assert record.event == "audit.read"
    assert record.actor_name == "reviewer"
    assert record.facts == {"filter_person": clerk.pseudonym, "filter_event": "document.read", "records": 1}


def test_filters(appliance: Appliance, reviewer: Principal, clerk: Principal, logged: int) -> None:
    with appliance.database.read() as connection:
        time_ms = store.following(connection, AuditFilter(), after_seq=logged - 1, limit=1)[0].time_ms

        def found(**wanted: object) -> list[int]:
            return [item.seq for item in store.search(connection, AuditFilter(**wanted)) if item.seq >= logged]

        assert found() == [logged + 2, logged + 1, logged]
        assert found(pseudonym=clerk.pseudonym) == [logged + 2, logged + 1, logged]
        assert found(pseudonym="system") == [logged + 2, logged + 1]
        assert found(pseudonym="nobody of that name") == []
        assert found(event=EventName.ANSWER_RELEASED) == [logged + 1]
        assert found(outcome=Outcome.FAILURE) == [logged + 2]
        assert found(resource=ResourceRef("document", "d1")) == [logged]
        assert found(resource=ResourceRef("document", "d2")) == []
        assert found(until_ms=time_ms) == []
        assert logged in found(since_ms=time_ms)
        assert found(since_ms=time_ms + 3_600_000) == []
        assert [item.seq for item in store.search(connection, AuditFilter(), before_seq=logged, limit=1)] == [logged - 1]


def test_names_are_those_of_today(appliance: Appliance, reviewer: Principal, clerk: Principal, logged: int) -> None:
    records = {item.seq: item for item in appliance.audit_review.search(reviewer, AuditFilter())}
    assert records[logged].actor_name == clerk.name
    assert records[logged + 1].on_behalf_of_name == clerk.name
    assert clerk.name not in records[logged].body.decode()
    assert dict(appliance.audit_review.people(reviewer))[clerk.pseudonym] == clerk.name


def test_sealed_values_are_opened_one_record_at_a_time_and_on_record(
    appliance: Appliance, reviewer: Principal, logged: int
) -> None:
    assert appliance.audit_review.disclose(reviewer, logged + 2) == {"source": "192.0.2.7"}
    record = appliance.audit_review.search(reviewer, AuditFilter(), limit=1)[0]
    assert (record.event, record.facts["disclosed"]) == ("audit.disclosed", "source")
    assert record.resources == (("audit_record", str(logged + 2)),)
    for seq in (0, -1, 10_000):
        with pytest.raises(NotFound):
            appliance.audit_review.disclose(reviewer, seq)


@pytest.mark.parametrize("limit", [0, -1, 501])
def test_nobody_asks_for_everything_at_once(appliance: Appliance, reviewer: Principal, limit: int) -> None:
    with pytest.raises(InvalidInput):
        appliance.audit_review.search(reviewer, AuditFilter(), limit=limit)


@pytest.mark.parametrize(
    "wanted",
    [
        AuditFilter(since_ms=2**53),
        AuditFilter(until_ms=-1),
        AuditFilter(pseudonym="what the night porter said"),
        AuditFilter(pseudonym="x" * 9_000),
        AuditFilter(resource=ResourceRef("document", "'; --")),
        AuditFilter(pseudonym="porter"),
        AuditFilter(resource=ResourceRef("document", "what-the-porter-said")),
    ],
    ids=["late", "early", "words", "long", "quoted", "a name of one word", "words like an id"],
)
def test_a_filter_that_no_record_can_match_is_refused_and_its_words_stay_out_of_the_log(
    appliance: Appliance, reviewer: Principal, wanted: AuditFilter
) -> None:
    before = appliance.audit_review.search(reviewer, AuditFilter(), limit=1)[0].seq
    with pytest.raises(InvalidInput):
        appliance.audit_review.search(reviewer, wanted)
    with pytest.raises(InvalidInput):
        appliance.audit_review.export(reviewer, wanted, "csv")
    assert appliance.audit_review.search(reviewer, AuditFilter(), limit=1)[0].seq == before + 1


def test_a_number_beyond_all_records_is_refused(appliance: Appliance, reviewer: Principal) -> None:
    with pytest.raises(InvalidInput):
        appliance.audit_review.search(reviewer, AuditFilter(), before_seq=2**63)


def test_an_export_is_recorded_before_its_first_byte(appliance: Appliance, reviewer: Principal, logged: int) -> None:
    pieces = appliance.audit_review.export(reviewer, AuditFilter(), "jsonl")
    assert _events(appliance)[-1] == "audit.exported"
    exported = b"".join(pieces).decode().splitlines()
    assert len(exported) == logged + 2, "everything up to the export, and not the export itself"
    record = appliance.audit_review.search(reviewer, AuditFilter(), limit=1)[0]
    assert record.facts == {"filter_through_seq": logged + 2, "format": "jsonl", "records": logged + 2}
    with pytest.raises(InvalidInput):
        appliance.audit_review.export(reviewer, AuditFilter(), "xlsx")


def test_jsonl_can_be_verified_line_by_line(appliance: Appliance, reviewer: Principal, logged: int) -> None:
    previous = "00" * 32
    lines = b"".join(appliance.audit_review.export(reviewer, AuditFilter(), "jsonl")).decode().splitlines()
    for number, line in enumerate(lines, 1):
        record = json.loads(line)
        leaf = json.loads(record["body"])
        assert hashlib.sha256(b"\x00" + record["body"].encode()).hexdigest() == record["leaf_hash"]
        assert (record["seq"], leaf["seq"], leaf["prev"]) == (number, number, previous)
        previous = record["leaf_hash"]


@pytest.mark.parametrize("member", ["", "seq", "time", "event", "leaf_hash", "body"])
def test_the_documented_script_finds_a_changed_line(
    appliance: Appliance, reviewer: Principal, logged: int, tmp_path: Path, member: str
) -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "audit-format.md").read_text()
    script, *_ = re.findall(r"^```python\n(.+?)^```", page, re.MULTILINE | re.DOTALL)
    lines = b"".join(appliance.audit_review.export(reviewer, AuditFilter(), "jsonl")).decode().splitlines()
    record = json.loads(lines[-1])
    if member:
        record[member] = json.loads(lines[0])[member]
        assert record != json.loads(lines[-1])
    exported = tmp_path / "export.jsonl"
    exported.write_text("\n".join([*lines[:-1], json.dumps(record)]))
    ended = subprocess.run([sys.executable, "-c", script, str(exported)], check=False, capture_output=True)
    assert ended.returncode == bool(member), ended.stderr


def test_csv_holds_no_formula(appliance: Appliance, reviewer: Principal, clerk: Principal, logged: int) -> None:
    text = b"".join(appliance.audit_review.export(reviewer, AuditFilter(pseudonym=clerk.pseudonym), "csv")).decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [int(row["seq"]) for row in rows] == [logged, logged + 1, logged + 2]
    assert rows[0]["actor_name"] == "'" + clerk.name
    assert rows[2]["correlation_id"] == "'-1+1"
    assert all(not cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row.values())


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_every_start_of_a_formula_is_neutralised(start: str) -> None:
    from appliance.administration.audit_tables import csv_line

    (cells,) = csv.reader(io.StringIO(csv_line([f"{start}1", "plain"]).decode(), newline=""))
    assert cells == [f"'{start}1", "plain"]


def test_an_export_streams_in_batches(
    appliance: Appliance, reviewer: Principal, logged: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with appliance.database.write() as connection:
        for _ in range(1_200):
            appliance.audit.append(connection, AuditEvent(EventName.BOX_READ, SYSTEM))
    asked: list[int] = []
    following = store.following

    def counted(*arguments: object, **named: int) -> list[store.AuditRecord]:
        asked.append(named["after_seq"])
        return following(*arguments, **named)

    monkeypatch.setattr(store, "following", counted)
    pieces: Iterator[bytes] = appliance.audit_review.export(reviewer, AuditFilter(event=EventName.BOX_READ), "jsonl")
    assert asked == [], "nothing is read before it is asked for"
    assert next(pieces).count(b"\n") == store.BATCH
    assert len(asked) == 1
    # what is appended meanwhile is not part of it
    with appliance.database.write() as connection:
        appliance.audit.append(connection, AuditEvent(EventName.BOX_READ, SYSTEM))
    assert sum(piece.count(b"\n") for piece in pieces) == 700
