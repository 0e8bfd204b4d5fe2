"""The log on its way to a collector: what never leaves, when the box calls and when not, and that nothing is lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from appliance.audit.checkpoints import Occasion
from appliance.audit.collected import CheckpointLine, LeafLine, read_line
from appliance.audit.collected_check import verify_collected
from appliance.audit.events import AuditEvent, EventName
from appliance.audit.store import last_seq
from appliance.bootstrap import Appliance
from appliance.egress.collector import place as places
from appliance.egress.collector.forwarding import Forwarding
from appliance.egress.collector.place import LONGEST_PAUSE_MS, MOST_LEAVES, PACE_MS, Place
from appliance.egress.destinations import Destination, Purpose
from appliance.identity.models import SYSTEM, Principal
from appliance.storage.tables import audit_events, log_collectors
from tests.collectors import Collected, collecting
from tests.gates import standing_gate
from tests.scripted_server import ScriptedServer
from workers.broker import make_broker
from workers.maintenance import Schedule, declare_forwarding

PORTER = Principal("p1", "night porter", "porter")
HOUR_S = 3_600


@pytest.fixture
def collected(appliance: Appliance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Collected]:
    appliance.checkpoints.sign(Occasion.START)
    with collecting(appliance, tmp_path, monkeypatch) as made:
        yield made


def happen(appliance: Appliance, count: int = 1, **sealed: str) -> None:
    with appliance.database.write() as connection:
        for _ in range(count):
            appliance.audit.append(connection, AuditEvent(EventName.QUESTION_ASKED, PORTER, sealed=sealed))


def events(appliance: Appliance, name: EventName) -> list[dict]:
    with appliance.database.read() as connection:
        query = select(audit_events.c.body).where(audit_events.c.event == str(name)).order_by(audit_events.c.seq)
        return [json.loads(body).get("facts", {}) for body in connection.execute(query).scalars()]


def newest(appliance: Appliance) -> int:
    with appliance.database.read() as connection:
        return last_seq(connection)


def no_gate() -> None:
    raise AssertionError("the gate was asked for")


def forwarding(appliance: Appliance, named: Destination | None, gate=no_gate) -> Forwarding:
    return Forwarding(appliance.database, appliance.audit, appliance.checkpoints.verifier, named=lambda: named, gate=gate)


def test_where_no_collector_is_named_nothing_is_opened_and_nothing_is_written(appliance: Appliance) -> None:
    before = newest(appliance)
    assert forwarding(appliance, None).run() == 0
    assert appliance.forwarding.run() == 0  # as shipped
    assert newest(appliance) == before
    with appliance.database.read() as connection:
        assert connection.execute(select(log_collectors)).all() == []


def test_a_destination_of_another_purpose_gets_nothing_of_the_log(appliance: Appliance) -> None:
    """Whatever the list of this process says, the gate decides by its own."""
    with ScriptedServer(lambda _, answer: answer.json({})).running() as server:
        lan = Destination("lan", "127.0.0.1", server.port, Purpose.INFERENCE, tls=False)
        gate = standing_gate(appliance, lan)
        forwarding(appliance, lan, lambda: gate).run()
        assert server.asked == []
    (refused,) = events(appliance, EventName.EGRESS_REFUSED)
    assert refused["reason"] == "other_purpose"
    assert events(appliance, EventName.COLLECTOR_FAILED)[0]["reason_code"] == "egress.refused"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.dictionaries(
        st.sampled_from(["question", "name", "address", "reason"]), st.text(min_size=6, max_size=40), min_size=1
    )
)
def test_what_is_sealed_is_not_in_the_bytes_that_leave(collected: Collected, values: dict[str, str]) -> None:
    sealed = {field: f"{value} of the harbour" for field, value in values.items()}
    happen(collected.appliance, **sealed)
    through = newest(collected.appliance)
    collected.run(60)
    left = b"".join(asked.raw for asked in collected.server.asked)
    assert all(value.encode() not in left for value in sealed.values())
    assert b"harbour" not in left
    assert b"night porter" not in left
    assert collected.state().sent_seq == through


def test_the_collector_gets_each_leaf_as_it_was_hashed_and_the_checkpoints_where_they_belong(collected: Collected) -> None:
    happen(collected.appliance, 3)
    collected.appliance.checkpoints.hourly()
    happen(collected.appliance, 2)
    through = newest(collected.appliance)
    assert collected.run() == through
    (asked,) = collected.server.asked
    assert (asked.method, asked.path, asked.headers["content-type"]) == ("POST", "/audit", "application/x-ndjson")
    lines = [read_line(line) for line in collected.file.read_bytes().splitlines()]
    with collected.appliance.database.read() as connection:
        rows = connection.execute(select(audit_events).where(audit_events.c.seq <= through).order_by(audit_events.c.seq)).all()
    leaves = [(line.seq, line.leaf_hash, line.body.encode()) for line in lines if isinstance(line, LeafLine)]
    assert leaves == [(row.seq, row.leaf_hash.hex(), row.body) for row in rows]
    for before, line in zip(lines, lines[1:], strict=False):
        if isinstance(line, CheckpointLine):
            assert f"\n{before.seq}\n" in line.checkpoint
    verdict = verify_collected(collected.file, collected.appliance.checkpoints.verifier)
    assert (verdict.key_named, verdict.entries, verdict.after) == (True, through, 2)
    assert events(collected.appliance, EventName.COLLECTOR_BEGUN) == [
        {"host": "127.0.0.1", "port": collected.destination.port, "through": through}
    ]


def test_a_long_log_goes_in_bounded_calls_one_after_the_other(collected: Collected) -> None:
    happen(collected.appliance, 2 * MOST_LEAVES)
    assert collected.run() >= 2 * MOST_LEAVES
    assert collected.calls == 2
    assert max(asked.raw.count(b"\n") for asked in collected.server.asked) <= MOST_LEAVES + 1
    collected.run(60)
    assert collected.state().waiting == 0
    assert verify_collected(collected.file).entries == collected.state().sent_seq


def test_a_silent_box_does_not_call_because_it_has_called(collected: Collected) -> None:
    """The calls' own entries wait for the next thing that happens, which is the hourly checkpoint at the latest."""
    for _ in range(3):
        collected.run(60)
    settled, before = collected.calls, newest(collected.appliance)
    for _ in range(50):
        collected.run(60)
    assert (collected.calls, newest(collected.appliance)) == (settled, before)
    assert collected.state().waiting == 0
    assert not collected.state().troubled
    collected.appliance.checkpoints.hourly()
    for _ in range(10):
        collected.run(60)
    assert collected.calls == settled + 1
    assert verify_collected(collected.file).after == 0


def test_what_happens_in_a_minute_travels_together(collected: Collected) -> None:
    collected.run()
    for _ in range(5):
        happen(collected.appliance)
        collected.run(10)
    assert collected.calls == 1
    collected.run(10)
    assert collected.calls == 2


def test_a_crash_between_the_answer_and_the_row_sends_again_and_not_at_once(
    collected: Collected, monkeypatch: pytest.MonkeyPatch
) -> None:
    happen(collected.appliance, 5)
    with monkeypatch.context() as patch:
        patch.setattr(places, "taken", lambda *_: (_ for _ in ()).throw(MemoryError))
        with pytest.raises(MemoryError):
            collected.run()
    assert collected.file.stat().st_size > 0
    assert collected.state().sent_seq == 0
    again = forwarding(collected.appliance, collected.destination, collected.forwarding._gate)  # as after a restart
    assert (again.run(), collected.calls) == (0, 1)
    collected.now_ms += 15_000
    assert again.run() > 0
    verdict = verify_collected(collected.file, collected.appliance.checkpoints.verifier)
    assert verdict.repeated >= 5
    assert verdict.entries == collected.state().sent_seq


def test_while_it_fails_the_box_calls_ever_more_seldom_and_says_so_once(collected: Collected) -> None:
    collected.status[0] = 503
    called_at = []
    for second in range(0, 1_500, 5):
        before = collected.calls
        collected.run(5)
        called_at += [second] * (collected.calls - before)
    gaps = [later - earlier for earlier, later in zip(called_at, called_at[1:], strict=False)]
    assert gaps == [15, 30, 60, 120, 240, 300, 300, 300]
    assert collected.state().troubled
    assert "503" in collected.state().sentence
    (told,) = events(collected.appliance, EventName.COLLECTOR_FAILED)
    assert (told["reason_code"], told["status"]) == ("collector.failing", 503)
    collected.status[0] = 202
    collected.run(300)
    (recovered,) = events(collected.appliance, EventName.COLLECTOR_RECOVERED)
    assert recovered["failing_since_ms"] < collected.now_ms
    assert not collected.state().troubled
    assert verify_collected(collected.file).repeated == 0


@pytest.mark.parametrize(("status", "pause_s"), [(301, 300), (400, 300), (401, 300), (408, 15), (413, 300), (429, 15), (500, 15)])
def test_what_only_a_person_can_mend_is_tried_again_after_the_longest_pause(
    collected: Collected, status: int, pause_s: int
) -> None:
    collected.status[0] = status
    collected.run()
    collected.run(pause_s - 1)
    assert collected.calls == 1
    collected.run(1)
    assert collected.calls == 2
    assert ("somebody has to look" in collected.state().sentence) == (pause_s == 300)


def test_a_collector_that_is_not_there_is_told_in_words(collected: Collected, appliance: Appliance) -> None:
    nowhere = Destination("siem", "127.0.0.1", 9, Purpose.LOG, tls=False)
    gate = standing_gate(appliance, nowhere)
    forwarding(appliance, nowhere, lambda: gate).run()
    collected.destination = nowhere
    assert collected.state().sentence.endswith("It fails: it cannot be reached.")
    assert events(appliance, EventName.COLLECTOR_FAILED)[0]["reason_code"] == "egress.unreachable"


def test_one_that_lacks_something_for_more_than_an_hour_is_late(collected: Collected) -> None:
    with collected.appliance.database.read() as connection:
        first = connection.execute(select(audit_events.c.time_ms).where(audit_events.c.seq == 1)).scalar_one()
    collected.now_ms = first + HOUR_S * 1_000 - 1
    assert not collected.state().late
    collected.now_ms += 60_000
    assert collected.state().late
    collected.run()
    assert not collected.state().late


def test_a_clock_that_was_ahead_while_it_took_something_hides_no_lateness(collected: Collected) -> None:
    collected.run()
    collected.now_ms -= 2 * HOUR_S * 1_000
    happen(collected.appliance)
    assert collected.state().late
    assert collected.run() > 0
    assert not collected.state().late


def test_another_place_begins_with_the_first_entry(collected: Collected) -> None:
    collected.run()
    moved = Destination("siem", "127.0.0.1", collected.destination.port, Purpose.LOG, tls=False, path="/elsewhere")
    gate = standing_gate(collected.appliance, moved)
    assert forwarding(collected.appliance, moved, lambda: gate).run() > 0
    assert collected.server.paths() == ["/audit", "/elsewhere"]
    first = read_line(collected.server.asked[1].raw.splitlines()[0])
    assert first.seq == 1


@pytest.mark.parametrize(
    ("tries", "fault", "pause_ms"),
    [
        (0, "", PACE_MS),
        (1, "", 15_000),
        (2, "egress.died", 30_000),
        (5, "collector.failing", 240_000),
        (6, "egress.gate", LONGEST_PAUSE_MS),
        (10_000, "", LONGEST_PAUSE_MS),
        (1, "collector.refused", LONGEST_PAUSE_MS),
    ],
)
def test_when_to_call_again_follows_from_the_row_and_the_clock(tries: int, fault: str, pause_ms: int) -> None:
    place = Place("a", tries=tries, tried_ms=1_000_000, fault=fault)
    assert not places.is_due(place, 1_000_000 + pause_ms - 1, many=False)
    assert places.is_due(place, 1_000_000 + pause_ms, many=False)
    assert places.is_due(place, 999_999, many=False), "a clock that was turned back"
    assert places.is_due(place, 1_000_000, many=True) == (tries == 0)


def test_the_box_itself_leaves_the_place_when_its_end_is_cut_off(collected: Collected) -> None:
    collected.run()
    with collected.appliance.database.write() as connection:
        connection.execute(log_collectors.update().values(sent_seq=newest(collected.appliance) + 10))
    assert collected.state().ahead
    assert collected.state().troubled
    assert collected.run(60) == 0
    with collected.appliance.database.write() as connection:
        collected.appliance.audit.append(connection, AuditEvent(EventName.BOX_READ, SYSTEM))
    assert collected.state().waiting == 0


def test_what_the_schedule_sends_is_an_actor_that_carries_the_log(appliance: Appliance) -> None:
    broker, ran = make_broker(appliance.settings), []
    declare_forwarding(broker, SimpleNamespace(run=lambda: len(ran.append(1) or ran)))
    assert "forward" in Schedule().due()
    broker.get_actor("forward").fn()
    assert ran == [1]
