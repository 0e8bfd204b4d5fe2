"""Bundles that their maker signed with a key of their own: what is in them may upset neither the program nor a terminal."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.audit.canonical import canonical_json, leaf_hash
from appliance.audit.completeness import Completeness
from appliance.audit.notes import Checkpoint, Verifier, signed_note, verifier_of
from appliance.audit.older import Older, load_older
from appliance.audit.tree import Frontier, consistent, node_hash
from appliance.audit.verification import verify
from appliance.errors import InvalidInput

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
OURS = verifier_of(KEY)
FILTER = {"event": "audit.exported"}
OF_CLASS = {"class_uid": 1008, "first": 1, "last": 2}
CLEAR_SCREEN = "\x1b[2J"
EXPORT, LAST = (
    {
        "seq": seq,
        "class_seq": seq,
        "class_uid": 1008,
        "time": "2026-01-31T08:30:00.000Z",
        "action": action,
        "actor_pseudonym": "x",
        "resources": [],
        "status": "success",
        "facts": facts,
        "_sd": {},
    }
    for seq, action, facts in (
        (1, "audit.exported", {"records": 1, "filter_event": "audit.exported"}),
        (2, "checkpoint.signed", {"class_1008": 2}),
    )
)


def forged(
    path: Path,
    export: dict[str, Any] | bytes = EXPORT,
    last: dict[str, Any] = LAST,
    by: Verifier = OURS,
    stretch: dict[str, Any] = OF_CLASS,
) -> Path:
    """A bundle of two leaves, whatever they are, that holds together."""
    frontier, lines = Frontier(), []
    for seq, leaf in enumerate((export, last), 1):
        body = leaf if isinstance(leaf, bytes) else canonical_json(leaf)
        frontier.append(leaf_hash(body))
        repeated = EXPORT if isinstance(leaf, bytes) else leaf
        said = {"seq": seq, "match": seq == 1, "time": repeated["time"], "event": repeated["action"], "actor_name": None}
        lines.append(said | {"leaf_hash": leaf_hash(body).hex(), "body": body.decode()})
    header = {
        "format": "cloister-audit-bundle/1",
        "verifier_key": str(by),
        "checkpoint": signed_note(Checkpoint(by.name, 2, frontier.root()).text(), KEY, by),
        "filter": FILTER,
        "export_seq": 1,
        "stretch": stretch,
        "since": None,
        "names": None,
        "lines": 2,
        "hashes": [],
    }
    path.write_text("".join(f"{json.dumps(item)}\n" for item in (header, *lines)))
    return path


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"export": EXPORT | {"facts": []}}, "audit.altered"),
        ({"export": EXPORT | {"facts": EXPORT["facts"] | {"records": CLEAR_SCREEN}}}, "audit.left_out"),
        ({"export": {name: value for name, value in EXPORT.items() if name != "actor_pseudonym"}}, "audit.altered"),
        ({"export": EXPORT | {"actor_pseudonym": []}}, "audit.altered"),
        ({"export": b"[" * 100_000 + b"]" * 100_000}, "audit.altered"),
        ({"last": LAST | {"facts": [1]}}, "audit.altered"),
        ({"last": LAST | {"facts": {"class_1008": "2", "class_1": 2}}}, "audit.left_out"),
        ({"last": LAST | {"facts": {"class_1008": 3, "class_1": -1}}}, "audit.left_out"),
        ({"last": LAST | {"time": CLEAR_SCREEN}}, "audit.altered"),
        ({"last": LAST | {"time": "2026-01-31\x1b08:30:00.000Z"}}, "audit.altered"),
        ({"by": Verifier(CLEAR_SCREEN, OURS.public)}, "audit.unreadable"),
        ({"by": Verifier("cloister/\u202etidua", OURS.public)}, "audit.unreadable"),
    ],
)
def test_it_is_refused_in_one_printable_sentence(tmp_path: Path, changed: dict[str, Any], code: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        verify(forged(tmp_path / "bundle", **changed))
    assert (caught.value.stable_code, caught.value.sentence.isprintable()) == (code, True)


def test_nested_without_end_it_is_no_memory(tmp_path: Path) -> None:
    memory = tmp_path / "memory"
    memory.write_text('{"checkpoint":' + "[" * 100_000)
    with pytest.raises(InvalidInput) as caught:
        load_older(memory, OURS)
    assert caught.value.stable_code == "audit.unreadable"


def test_a_signed_root_over_pieces_that_are_no_hashes_continues_nothing(tmp_path: Path) -> None:
    """The log had three leaves. Its third is rewritten under a root whose left half hides both halves of the old root in one piece."""
    seen = [leaf_hash(f"leaf {number}".encode()) for number in range(3)]
    halves = node_hash(seen[0], seen[1]) + seen[2]
    older = Older(Checkpoint(OURS.name, 3, node_hash(*halves_of(halves))), OURS)
    export, last = EXPORT | {"seq": 3, "facts": {"records": 0}}, LAST | {"seq": 4, "facts": {"class_1008": 4}}
    new = [leaf_hash(canonical_json(leaf)) for leaf in (export, last)]
    root = node_hash(halves, node_hash(*new))
    proof = [b"", b"".join(new), halves]
    assert consistent(3, older.checkpoint.root, 4, root, proof), "the arithmetic alone is content with it"
    path = forged(tmp_path / "bundle", export, last)
    header, *lines = [json.loads(line) for line in path.read_text().splitlines()]
    header |= {
        "checkpoint": signed_note(Checkpoint(OURS.name, 4, root).text(), KEY, OURS),
        "filter": None,
        "stretch": None,
        "export_seq": 3,
        "hashes": [b64encode(halves).decode()],
        "since": {"size": 3, "hashes": [b64encode(each).decode() for each in proof]},
    }
    lines = [line | {"seq": line["seq"] + 2, "match": False} for line in lines]
    path.write_text("".join(f"{json.dumps(item)}\n" for item in (header, *lines)))
    with pytest.raises(InvalidInput):
        verify(path, OURS, older)


def halves_of(node: bytes) -> tuple[bytes, bytes]:
    return node[:32], node[32:]


def test_a_whole_log_gives_the_lie_to_a_checkpoint_that_counts_otherwise(tmp_path: Path) -> None:
    whole = {"class_uid": None, "first": 1, "last": 2}
    assert verify(forged(tmp_path / "bundle", stretch=whole)).completeness is Completeness.SHOWN
    with pytest.raises(InvalidInput, match="counts other numbers of entries than are in the file"):
        verify(forged(tmp_path / "bundle", last=LAST | {"facts": {"class_1008": 1, "class_6003": 1}}, stretch=whole))


def test_without_a_fault_it_holds_by_a_key_that_nobody_named(tmp_path: Path) -> None:
    verdict = verify(forged(tmp_path / "bundle"))
    assert (verdict.matching, verdict.key_named) == (1, False)
