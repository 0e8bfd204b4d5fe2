"""What whoever holds the keys can do to the log, and who sees it: the check inside the box, a file by itself, or only a witness."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, text

from appliance.audit.canonical import NO_PREVIOUS, canonical_json, indexed_resources, leaf_hash
from appliance.audit.checkpoints import Occasion
from appliance.audit.integrity import check, foreign_triggers
from appliance.audit.matching import leaf_time_ms
from appliance.audit.store import AuditFilter
from appliance.audit.tree_check import check_tree
from appliance.audit.verification import verify
from appliance.audit.witness import witness
from appliance.bootstrap import Appliance, open_appliance
from appliance.errors import InvalidInput, Unavailable
from appliance.identity.store import principal_by_name
from appliance.settings import Settings
from appliance.storage.append_only import TRIGGERS
from appliance.storage.tables import audit_blocks, audit_checkpoints, audit_events, audit_resources
from tests.integration.audit.conftest import grow

Leaf = dict[str, Any]


class Box:
    """A box with a log of some length, an officer, and the officer's memory as it was when all was well."""

    def __init__(self, appliance: Appliance, directory: Path) -> None:
        self.appliance = appliance
        with appliance.database.read() as connection:
            self.officer = principal_by_name(connection, "officer")
        self.out, self.memory = directory / "out", directory / "memory"
        self.key = self.appliance.checkpoints.verifier
        witness(self.memory, self.export(), self.key)
        self.seen = int(json.loads(self.memory.read_text())["checkpoint"].split("\n")[1])

    def export(self, since: int | None = None) -> Path:
        self.out.write_bytes(b"".join(self.appliance.audit_review.export(self.officer, AuditFilter(), "bundle", since=since)))
        return self.out

    def inside(self) -> list[str]:
        """What the checks inside the box find."""
        with self.appliance.database.read() as connection:
            log, tree = check(connection, self.appliance.keys.audit_sealing), check_tree(connection, self.key)
            return [*filter(None, (log.reason, tree.fault)), *foreign_triggers(connection)]

    def rewrite(self, change: Callable[[list[Leaf]], list[Leaf]], *, checkpoints: bool) -> None:
        """Numbers, chain and hashes made anew, as the program would have; with `checkpoints` all of these forgotten, too."""
        with self.appliance.database.write(foreign_keys=False) as connection:
            bodies = connection.execute(select(audit_events.c.body).order_by(audit_events.c.seq)).scalars().all()
            for name in TRIGGERS:
                connection.execute(text(f"DROP TRIGGER {name}"))
            for table in (audit_events, audit_resources, *((audit_blocks, audit_checkpoints) if checkpoints else ())):
                connection.execute(delete(table))
            previous, counts, rows, about = NO_PREVIOUS, {}, [], []
            for seq, leaf in enumerate(change([json.loads(body) for body in bodies]), 1):
                counts[leaf["class_uid"]] = number = counts.get(leaf["class_uid"], 0) + 1
                body = canonical_json(leaf | {"seq": seq, "class_seq": number, "prev": previous.hex()})
                previous = leaf_hash(body)
                columns = (leaf["class_uid"], number, leaf_time_ms(leaf), leaf["action"], leaf["actor_pseudonym"], leaf["status"])
                rows.append(dict(zip(audit_events.c.keys(), (seq, *columns, body, previous), strict=True)))
                about += [dict(seq=seq, kind=kind, resource_id=which) for kind, which in indexed_resources(leaf)]
            connection.execute(insert(audit_events), rows)
            connection.execute(insert(audit_resources), about)
            for statement in TRIGGERS.values():
                connection.execute(text(statement))

    def statement(self, *statements: str) -> None:
        with self.appliance.database.write(foreign_keys=False) as connection:
            for name in TRIGGERS:
                connection.execute(text(f"DROP TRIGGER {name}"))
            for each in statements:
                assert connection.execute(text(each)).rowcount, each
            for each in TRIGGERS.values():
                connection.execute(text(each))


@pytest.fixture
def box(logged: Appliance, tmp_path: Path) -> Box:
    return Box(logged, tmp_path)


def refused(act: Callable[[], object]) -> str:
    with pytest.raises((InvalidInput, Unavailable)) as caught:
        act()
    return caught.value.stable_code


def test_a_log_that_only_grew_is_accepted_and_remembered(box: Box) -> None:
    assert box.inside() == []
    for _ in range(2):
        verdict = witness(box.memory, box.export(since=box.seen), None)
        assert (verdict.grown_from, verdict.key_named) == (box.seen, True)
        box.seen = verdict.checkpoint.size


def test_without_a_memory_the_key_is_needed_and_a_strange_memory_is_none(box: Box, tmp_path: Path) -> None:
    path = box.export()
    assert refused(lambda: witness(tmp_path / "new", path, None)) == "audit.key_unnamed"
    assert not (tmp_path / "new").exists()
    for content in ("", "{}", "[1]", "nonsense", '{"checkpoint": "x", "verifier_key": "y"}'):
        (tmp_path / "new").write_text(content)
        assert refused(lambda: witness(tmp_path / "new", path, box.key)) in {"audit.unreadable", "audit.signature"}
    forged = json.loads(box.memory.read_text())
    forged["checkpoint"] = forged["checkpoint"].replace(f"\n{box.seen}\n", f"\n{box.seen - 1}\n")
    (tmp_path / "new").write_text(json.dumps(forged))
    assert refused(lambda: witness(tmp_path / "new", path, box.key)) == "audit.signature"


def test_a_file_that_does_not_hold_leaves_the_memory_as_it_was(box: Box) -> None:
    before = box.memory.read_bytes()
    path = box.export(since=box.seen)
    path.write_bytes(path.read_bytes().replace(b'"allow', b'"deny ', 1))
    assert refused(lambda: witness(box.memory, path, None)) == "audit.altered"
    assert refused(lambda: witness(box.memory, box.export(), None)) == "audit.no_proof"
    assert box.memory.read_bytes() == before


def test_an_older_bundle_is_no_memory_and_is_not_written_over(box: Box, tmp_path: Path) -> None:
    """It is evidence, and may be the only copy."""
    older, bare = tmp_path / "older", tmp_path / "bare"
    older.write_bytes(box.export().read_bytes())
    bare.write_text(json.loads(box.memory.read_text())["checkpoint"])
    newer = box.export(since=box.seen)
    for taken in (older, bare):
        before = taken.read_bytes()
        assert refused(lambda path=taken: witness(path, newer, box.key)) == "audit.occupied"
        assert taken.read_bytes() == before


def edit(leaves: list[Leaf]) -> list[Leaf]:
    return [*leaves[:100], leaves[100] | {"actor_pseudonym": "cook"}, *leaves[101:]]


def drop(leaves: list[Leaf]) -> list[Leaf]:
    return [*leaves[:100], *leaves[101:]]


def slip_in(leaves: list[Leaf]) -> list[Leaf]:
    return [*leaves[:100], leaves[100], *leaves[100:]]


def swap(leaves: list[Leaf]) -> list[Leaf]:
    return [*leaves[:100], leaves[101], leaves[100], *leaves[102:]]


def cut(leaves: list[Leaf]) -> list[Leaf]:
    return leaves[:-50]


REWRITES = {"edited": edit, "deleted": drop, "inserted": slip_in, "reordered": swap, "cut": cut}


@pytest.mark.parametrize("name", REWRITES)
def test_a_rewritten_chain_contradicts_the_checkpoints_of_the_box(box: Box, name: str) -> None:
    """The chain is whole again. The check inside sees it, and the box signs nothing over it."""
    box.rewrite(REWRITES[name], checkpoints=False)
    with box.appliance.database.read() as connection:
        assert check(connection).intact, "nothing but the tree tells"
    assert len(box.inside()) == 1
    assert refused(lambda: box.export()) == "audit.rewritten"
    assert box.appliance.checkpoints.latest().checkpoint.size == box.seen


def test_an_entry_edited_with_its_hash_alone_leads_to_no_root(box: Box) -> None:
    """The chain breaks after it, and the tree still holds the root of what it was: the file does not hold, wherever it is read."""
    body = canonical_json(edit([{}] * 100 + [json.loads(_body(box, 101))])[100])
    box.statement(f"UPDATE audit_events SET body = x'{body.hex()}', leaf_hash = x'{leaf_hash(body).hex()}' WHERE seq = 101")
    assert len(box.inside()) == 2
    assert refused(lambda: verify(box.export(), box.key)) == "audit.not_in_tree"


def _body(box: Box, seq: int) -> bytes:
    with box.appliance.database.read() as connection:
        return bytes(connection.execute(select(audit_events.c.body).where(audit_events.c.seq == seq)).scalar_one())


@pytest.mark.parametrize("name", REWRITES)
def test_a_log_rewritten_with_new_checkpoints_by_who_holds_the_key_is_seen_by_the_witness_alone(box: Box, name: str) -> None:
    box.rewrite(REWRITES[name], checkpoints=True)
    box.appliance.checkpoints.sign(Occasion.START)
    assert box.inside() == [], "inside the box all is well"
    assert verify(box.export(), box.key).key_named, "and so it is in the file"
    size = box.appliance.checkpoints.latest().checkpoint.size
    if size < box.seen:
        assert refused(lambda: witness(box.memory, box.out, None)) == "audit.cut"
        assert refused(lambda: box.export(since=box.seen)) == "audit.since"
        grow(box.appliance, 60)  # beyond what was seen, to hide the cut
    before = box.memory.read_bytes()
    assert refused(lambda: witness(box.memory, box.export(since=box.seen), None)) == "audit.rewritten"
    assert box.memory.read_bytes() == before


@pytest.mark.parametrize(
    "statements",
    [
        ["UPDATE audit_events SET body = replace(body, '\"allow\"', '\"deny\"') WHERE seq = 120"],
        ["DELETE FROM audit_events WHERE seq = 120"],
        ["UPDATE audit_events SET seq = 10000 WHERE seq = 120", "UPDATE audit_events SET seq = 120 WHERE seq = 121", "UPDATE audit_events SET seq = 121 WHERE seq = 10000"],
        ["INSERT INTO audit_events SELECT max(seq) + 1, 1, 1, 0, event, actor_pseudonym, outcome, body, leaf_hash FROM audit_events"],
        ["DELETE FROM audit_events WHERE seq > 290"],
    ],
    ids=["edited", "deleted", "reordered", "inserted", "cut"],
)  # fmt: skip
def test_what_was_done_without_care_is_seen_inside(box: Box, statements: list[str]) -> None:
    box.statement(*statements)
    assert box.inside() != []


def test_a_box_restored_from_an_older_copy_is_a_log_that_was_cut(box: Box, tmp_path: Path) -> None:
    copy = Settings(data_dir=tmp_path / "copy")
    copy.data_dir.mkdir()
    (copy.data_dir / "keys").mkdir(mode=0o700)
    copy.root_key_path.write_bytes(box.appliance.settings.root_key_path.read_bytes())
    copy.root_key_path.chmod(0o600)
    box.appliance.database.copy_to(copy.database_path)
    witness(box.memory, box.export(since=box.seen), None)
    other = open_appliance(copy)
    try:
        pieces = other.audit_review.export(box.officer, AuditFilter(), "checkpoint", since=box.seen)
        box.out.write_bytes(b"".join(pieces))
    finally:
        other.close()
    assert other.checkpoints.verifier == box.key
    assert refused(lambda: witness(box.memory, box.out, None)) in {"audit.cut", "audit.rewritten"}


def test_what_came_after_the_last_checkpoint_can_be_cut_unseen(box: Box) -> None:
    """A limit, and the reason to sign every hour and to come often."""
    with box.appliance.database.read() as connection:
        last = connection.execute(select(audit_events.c.seq).order_by(audit_events.c.seq.desc())).scalars().first()
    grow(box.appliance, 5)
    box.statement(f"DELETE FROM audit_resources WHERE seq > {last}", f"DELETE FROM audit_events WHERE seq > {last}")
    assert box.inside() == []
    assert witness(box.memory, box.export(since=box.seen), None).grown_from == box.seen
