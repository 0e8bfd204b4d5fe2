"""A worker as a process of its own: refusals, the sweep of lost rows, a gentle end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import insert, select, update

from appliance.bootstrap import Appliance
from appliance.identity.models import Principal
from appliance.storage import leases
from appliance.storage.tables import conversations, documents, messages, sessions
from workers.broker import make_broker
from workers.connection import connect
from workers.maintenance import CARE_PERIOD_S, SWEEP_PERIOD_S, Schedule
from workers.streams import stream_key

ROOT = Path(__file__).resolve().parents[3]


def start(data_dir: Path, queue: str = "maintenance") -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "workers.main", queue, "--data", str(data_dir)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={"LANG": "C.UTF-8"})


def until(condition, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def upload(appliance: Appliance, person: Principal, content: bytes) -> str:
    upload = appliance.documents.begin_upload(person, appliance.collections.readable(person)[0].id, "rules.txt")
    upload.write(content)
    return upload.commit()[0].id


def test_a_directory_without_an_appliance_is_one_sentence(data_dir: Path) -> None:
    process = start(data_dir / "nothing")
    _, words = process.communicate(timeout=60)
    assert process.returncode == 2
    assert words.strip().splitlines()[-1].endswith(".")
    assert "Traceback" not in words


def test_the_sweep_finds_the_lost_row_and_a_second_worker_is_refused(
    appliance: Appliance, alice: Principal, redis_server
) -> None:
    lost = upload(appliance, alice, b"The night porter has the green book.")
    broker = make_broker(appliance.settings)
    process = start(appliance.settings.data_dir)
    try:
        until(lambda: lost in broker.waiting("ingest"))
        second = start(appliance.settings.data_dir)
        _, words = second.communicate(timeout=60)
        assert second.returncode == 2
        assert "already serves the queue maintenance" in words
        broker.flush("ingest")
        until(lambda: lost in broker.waiting("ingest"), 30)
        assert len(broker.client.lrange("dramatiq:ingest", 0, -1)) == 1
    finally:
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        _, words = process.communicate(timeout=30)
    assert process.returncode == 0
    assert time.monotonic() - began < 10
    assert "green book" not in words
    assert "alice" not in words


def test_rows_of_the_dead_are_let_go_and_those_of_others_are_not(appliance: Appliance, alice: Principal) -> None:
    far = int(time.time() * 1_000) + 1_000_000
    dead, other = upload(appliance, alice, b"One."), upload(appliance, alice, b"Two.")
    with appliance.database.write() as connection:
        for row_id, holder in ((dead, "ingest:0a"), (other, "ingestion:0b")):
            held = {"claimed_by": holder, "lease_until_ms": far, "status": "PARSING"}
            connection.execute(update(documents).where(documents.c.id == row_id).values(held))
        assert leases.release(connection, documents, "ingest:") == 1
        found = select(documents.c.id).where(documents.c.lease_until_ms == 0)
        assert list(connection.execute(found).scalars()) == [dead]
    assert appliance.documents.pending_ids() == [dead]


def test_a_try_ended_by_a_stop_of_the_box_does_not_count(appliance: Appliance, alice: Principal) -> None:
    far = int(time.time() * 1_000) + 1_000_000
    rows = [upload(appliance, alice, text) for text in (b"One.", b"Two.")]
    with appliance.database.write() as connection:
        for row_id, holder in zip(rows, ("ingest:0a", "other:0b"), strict=True):
            held = {"claimed_by": holder, "lease_until_ms": far, "status": "PARSING", "attempts": 1}
            connection.execute(update(documents).where(documents.c.id == row_id).values(held))
        leases.release(connection, documents, "ingest:", forgiven=True)
        found = select(documents.c.attempts).where(documents.c.id.in_(rows)).order_by(documents.c.claimed_by)
        assert list(connection.execute(found).scalars()) == [0, 1]


def test_only_sessions_past_their_end_are_removed(appliance: Appliance, alice: Principal) -> None:
    now = int(time.time() * 1_000)
    with appliance.database.write() as connection:
        for name, end in (("over", now - 1_000), ("running", now + 100_000)):
            row = {"token_sha256": name, "principal_id": alice.id, "created_ms": now, "last_seen_ms": now, "expires_ms": end}
            connection.execute(insert(sessions).values(row))
    assert appliance.sessions.remove_expired() == 1
    with appliance.database.read() as connection:
        assert list(connection.execute(select(sessions.c.token_sha256)).scalars()) == ["running"]


def test_a_worker_clears_away_what_a_deleted_collection_held_and_what_a_deleted_person_said(
    appliance: Appliance, administrator: Principal, alice: Principal, redis_server
) -> None:
    everybody = frozenset({"group:everyone"})
    shared = appliance.collections.create(administrator, "Board", readers=everybody, contributors=everybody)
    with appliance.documents.begin_upload(administrator, shared, "rules.txt") as upload:
        upload.write(b"The night porter has the green book.")
        upload.commit()
    appliance.collections.delete(administrator, shared, name="Board", documents=1)
    asked, _ = appliance.chat.ask(alice, appliance.chat.create_conversation(alice).id, "Who has the green book?")
    streams = connect(appliance.settings)
    streams.xadd(stream_key(asked.id), {"event": "delta"})
    appliance.people.update(administrator, alice.id, disabled=True)
    appliance.people.delete(administrator, alice.id, conversations=1, documents=0)

    def left() -> int:
        with appliance.database.read() as connection:
            return sum(len(connection.execute(select(table.c.id)).all()) for table in (documents, conversations, messages))

    assert left() == 3
    process = start(appliance.settings.data_dir)
    try:
        until(lambda: left() == 0 and not list(appliance.blobs.names()) and not streams.exists(stream_key(asked.id)))
    finally:
        process.terminate()
        process.communicate(timeout=60)


def test_the_schedule_sweeps_often_and_cares_hourly() -> None:
    now = 1_000.0
    schedule = Schedule(lambda: now)
    assert schedule.due() == ["sweep", "sweep_golden", "clear", "forward"]
    assert schedule.due() == []
    now += SWEEP_PERIOD_S
    assert schedule.due() == ["sweep"]
    now += 60
    assert schedule.due() == ["sweep", "sweep_golden", "clear", "forward", "care"]
    now += CARE_PERIOD_S - 1
    assert schedule.due() == ["sweep", "sweep_golden", "clear", "forward"]
    now += 1
    assert "care" in schedule.due()


@pytest.mark.models
def test_preparing_a_directory_for_containers_prints_the_link_once_there_is_nobody(data_dir: Path, models_dir: Path) -> None:
    (data_dir / "models").symlink_to(models_dir)
    command = [sys.executable, "-m", "workers.prepare", "--data", str(data_dir)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={"LANG": "C.UTF-8"}, check=False)
    assert done.returncode == 0, done.stderr
    assert "/setup?token=" in done.stdout
    assert oct(os.stat(data_dir).st_mode & 0o777) == "0o700"
