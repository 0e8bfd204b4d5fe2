"""Signed checkpoints over a real log: what they are signed over, when the box refuses, what the check finds."""

from __future__ import annotations

import json
from contextlib import closing

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DatabaseError

from appliance.audit.blocks import StoredTree
from appliance.audit.checkpoints import Occasion, class_counts
from appliance.audit.integrity import foreign_triggers
from appliance.audit.notes import open_checkpoint
from appliance.audit.tree import Frontier, consistency_proof, consistent, cover, root_from_cover
from appliance.audit.tree_check import TreeCheck, check_tree
from appliance.bootstrap import Appliance, open_appliance
from appliance.bootstrap.foundation import Foundation, open_foundation
from appliance.errors import Unavailable
from appliance.settings import Settings
from appliance.storage.append_only import TRIGGERS
from appliance.storage.migrations import newest_revision
from appliance.storage.tables import audit_events
from tests.integration.audit.conftest import grow
from tests.old_boxes import make_old_box
from workers.care import cares


def leaves(appliance: Appliance | Foundation) -> list[bytes]:
    with appliance.database.read() as connection:
        return list(connection.execute(select(audit_events.c.leaf_hash).order_by(audit_events.c.seq)).scalars())


def found(appliance: Appliance) -> TreeCheck:
    with appliance.database.read() as connection:
        return check_tree(connection, appliance.checkpoints.verifier)


def forge(appliance: Appliance, *statements: str) -> None:
    """As whoever holds the root key can: without the triggers."""
    with appliance.database.write(foreign_keys=False) as connection:
        for name in TRIGGERS:
            connection.execute(text(f"DROP TRIGGER {name}"))
        for statement in statements:
            assert connection.execute(text(statement)).rowcount, statement
        for statement in TRIGGERS.values():
            connection.execute(text(statement))


def test_a_log_without_a_checkpoint_is_no_fault(appliance: Appliance) -> None:
    assert appliance.checkpoints.latest() is None
    assert found(appliance) == TreeCheck(after=len(leaves(appliance)))


def test_a_checkpoint_is_over_every_leaf_and_its_last_leaf_counts_them(appliance: Appliance) -> None:
    grow(appliance, 5)
    made = appliance.checkpoints.sign(Occasion.START)
    frontier = Frontier()
    for leaf in leaves(appliance):
        frontier.append(leaf)
    assert (made.checkpoint.size, made.checkpoint.root) == (frontier.size, frontier.root())
    assert open_checkpoint(made.note, appliance.checkpoints.verifier) == made.checkpoint
    assert appliance.checkpoints.latest() == made
    with appliance.database.read() as connection:
        body = connection.execute(select(audit_events.c.body).where(audit_events.c.seq == frontier.size)).scalar_one()
        counts = class_counts(connection)
    facts = json.loads(body)["facts"]
    assert facts.pop("occasion") == "start"
    assert facts == {f"class_{uid}": count for uid, count in counts.items()}
    assert sum(facts.values()) == frontier.size


def test_every_hour_brings_one_even_where_nothing_happened(appliance: Appliance) -> None:
    care = {each.name: each.act for each in cares(appliance)}["audit_checkpoint"]
    first, second = care(), care()
    assert second == first + 1
    assert found(appliance) == TreeCheck(2, second, 0)


def test_a_long_log_of_before_comes_under_its_first_checkpoint(appliance: Appliance, monkeypatch) -> None:
    monkeypatch.setattr("appliance.audit.checkpoints._BLOCKS_AT_ONCE", 1)
    grow(appliance, 1_100)
    old = appliance.checkpoints.sign(Occasion.START).checkpoint
    grow(appliance, 700)
    new = appliance.checkpoints.sign(Occasion.HOUR).checkpoint
    every = leaves(appliance)
    with appliance.database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM audit_blocks")).scalar() == len(every) // 256
        tree = StoredTree(connection)
        assert consistent(old.size, old.root, new.size, new.root, consistency_proof(old.size, new.size, tree.perfect))
        places = [0, 3, 255, 256, 700, new.size - 1]
        hashes = cover(new.size, places, tree.perfect)
    assert root_from_cover(new.size, places, [every[place] for place in places], hashes) == new.root
    assert found(appliance) == TreeCheck(2, new.size, 0)


def test_the_first_checkpoint_over_a_long_log_says_how_far_it_is(logged: Appliance, monkeypatch) -> None:
    monkeypatch.setattr("appliance.audit.checkpoints._BLOCKS_AT_ONCE", 1)
    told: list[int] = []
    logged.checkpoints.sign(Occasion.START, told.append)
    assert told == [256]
    logged.checkpoints.sign(Occasion.HOUR, told.append)
    assert told == [256], "a short way is not worth a word"


def test_a_box_with_entries_and_no_checkpoint_is_late_like_one_that_stopped(appliance: Appliance) -> None:
    with appliance.database.read() as connection:
        first = connection.execute(text("SELECT time_ms FROM audit_events WHERE seq = 1")).scalar_one()
    late = first + 3 * 3_600_000
    assert appliance.checkpoints.late_since(first + 3_600_000) is None
    assert appliance.checkpoints.late_since(late) == first
    made = appliance.checkpoints.sign(Occasion.HOUR)
    assert appliance.checkpoints.late_since(made.time_ms + 3_600_000) is None
    assert appliance.checkpoints.late_since(late + made.time_ms) == made.time_ms


def test_a_box_opened_again_signs_with_the_same_key_and_another_box_does_not(appliance: Appliance, tmp_path) -> None:
    from appliance.settings import Settings

    again = open_appliance(appliance.settings)
    other = open_appliance(Settings(data_dir=tmp_path / "other"), create=True)
    try:
        assert again.checkpoints.verifier == appliance.checkpoints.verifier
        assert other.checkpoints.verifier.name != appliance.checkpoints.verifier.name
    finally:
        again.close()
        other.close()


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM audit_checkpoints",
        "UPDATE audit_checkpoints SET note = 'x'",
        "INSERT OR REPLACE INTO audit_checkpoints SELECT size, 'x' FROM audit_checkpoints",
        "DELETE FROM audit_blocks",
        "UPDATE audit_blocks SET root = x'00'",
        "INSERT OR REPLACE INTO audit_blocks VALUES (0, x'00')",
    ],
)
def test_the_database_itself_refuses_to_change_them(logged: Appliance, statement: str) -> None:
    logged.checkpoints.sign(Occasion.START)
    with pytest.raises(DatabaseError, match="append-only"), logged.database.write() as connection:
        connection.execute(text(statement))


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("UPDATE audit_events SET leaf_hash = zeroblob(32) WHERE seq = 300", "not those that a checkpoint"),
        ("UPDATE audit_events SET leaf_hash = zeroblob(32) WHERE seq = 3", "says other than the entries from 1 on"),
        ("DELETE FROM audit_events WHERE seq = 300", "a checkpoint was signed over"),
        ("DELETE FROM audit_events WHERE seq > 290", "a checkpoint was signed over"),
        ("UPDATE audit_blocks SET root = zeroblob(32)", "says other than the entries"),
        ("UPDATE audit_checkpoints SET note = replace(note, '3', '4')", "was altered"),
        ("UPDATE audit_checkpoints SET size = size - 1", "is that of"),
        ("DELETE FROM audit_blocks", ""),
    ],
)
def test_the_check_compares_checkpoints_blocks_and_leaves(logged: Appliance, statement: str, fault: str) -> None:
    logged.checkpoints.sign(Occasion.START)
    forge(logged, statement)
    said = found(logged).fault
    assert fault in said
    assert bool(said) == bool(fault)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_events SET leaf_hash = zeroblob(32) WHERE seq = 290",
        "DELETE FROM audit_events WHERE seq > 280",
        "UPDATE audit_blocks SET root = zeroblob(32)",
        "UPDATE audit_checkpoints SET note = replace(note, '3', '4')",
        "UPDATE audit_checkpoints SET note = x'00ff'",
        "UPDATE audit_checkpoints SET note = CAST(note AS BLOB)",
        "UPDATE audit_blocks SET root = 'text'",
        "UPDATE audit_blocks SET root = 7",
    ],
)
def test_the_box_signs_nothing_that_contradicts_its_last_checkpoint(logged: Appliance, statement: str) -> None:
    logged.checkpoints.sign(Occasion.START)
    forge(logged, statement)
    before = len(leaves(logged))
    with pytest.raises(Unavailable) as caught:
        logged.checkpoints.sign(Occasion.HOUR)
    assert caught.value.stable_code in {"audit.rewritten", "audit.checkpoint_altered"}
    assert len(leaves(logged)) == before, "nothing was signed, and nothing recorded"
    assert found(logged).fault, "and it is a finding"


def test_a_box_of_before_comes_under_a_checkpoint_and_its_leaves_stay_as_they_are(settings: Settings) -> None:
    make_old_box(settings, "0015", leaves=300)
    with closing(open_foundation(settings)) as foundation:
        before = leaves(foundation)
    again = open_appliance(settings)
    try:
        assert again.checkpoints.latest() is None
        size = again.checkpoints.sign(Occasion.START).checkpoint.size
        assert leaves(again)[:300] == before
        assert size == 300 + int(newest_revision()) - 15 + 1, "those of before, the migrations, and what counts"
        assert found(again) == TreeCheck(1, size, 0)
        with again.database.read() as connection:
            assert foreign_triggers(connection) == []
    finally:
        again.close()
