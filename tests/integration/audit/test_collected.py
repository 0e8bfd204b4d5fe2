"""What a collector made of the lines, checked without the box: whole, in order, signed; and a log that was rewritten meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import text

from appliance.audit.canonical import canonical_json, leaf_hash
from appliance.audit.checkpoints import Occasion
from appliance.audit.collected import CheckpointLine, LeafLine, read_line
from appliance.audit.collected_check import is_collected, verify_collected
from appliance.audit.notes import parse_verifier, verifier_of
from appliance.audit.older import load_older
from appliance.audit.witness import verify_file, witness
from appliance.bootstrap import Appliance
from appliance.cli import main
from appliance.errors import InvalidInput
from tests.collectors import Collected, collecting
from tests.integration.audit.conftest import grow
from tests.integration.audit.test_witness import REWRITES, Box

OTHER = verifier_of(Ed25519PrivateKey.from_private_bytes(bytes(32)))


@pytest.fixture
def collected(logged: Appliance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Collected]:
    logged.checkpoints.sign(Occasion.START)
    with collecting(logged, tmp_path, monkeypatch) as made:
        made.run()
        yield made


def lines(file: Path) -> list[bytes]:
    return file.read_bytes().splitlines(keepends=True)


def edited(line: bytes) -> bytes:
    """The leaf with another actor, hashed anew."""
    found = read_line(line)
    assert isinstance(found, LeafLine)
    body = canonical_json(json.loads(found.body) | {"actor_pseudonym": "cook"})
    return json.dumps({"seq": found.seq, "leaf_hash": leaf_hash(body).hex(), "body": body.decode()}).encode() + b"\n"


def rewritten(found: list[bytes]) -> list[bytes]:
    """One actor is another, and every hash after it made anew, as whoever has the file can, without the key."""
    previous, lines = "0" * 64, []
    for line in found:
        entry = json.loads(line)
        if "seq" in entry:
            leaf = json.loads(entry["body"]) | {"prev": previous}
            body = canonical_json(leaf | ({"actor_pseudonym": "cook"} if entry["seq"] == 100 else {}))
            previous = leaf_hash(body).hex()
            entry |= {"body": body.decode(), "leaf_hash": previous}
        lines.append(json.dumps(entry).encode() + b"\n")
    return lines


def is_checkpoint(line: bytes) -> bool:
    return isinstance(read_line(line), CheckpointLine)


CHANGES: dict[str, tuple[Callable[[list[bytes]], list[bytes]], str]] = {
    "nothing in it": (lambda _: [], "audit.unreadable"),
    "one entry left out": (lambda found: [*found[:100], *found[101:]], "audit.left_out"),
    "the first left out": (lambda found: found[1:], "audit.left_out"),
    "two changed places": (lambda found: [*found[:100], found[101], found[100], *found[102:]], "audit.left_out"),
    "an entry changed": (lambda found: [*found[:100], found[100].replace(b"allow", b"deny "), *found[101:]], "audit.altered"),
    "an entry changed with its hash": (lambda found: [*found[:100], edited(found[100]), *found[101:]], "audit.rewritten"),
    "another one of the same number": (lambda found: [*found[:101], edited(found[100]), *found[101:]], "audit.rewritten"),
    "all of it made anew from one entry on": (rewritten, "audit.not_in_tree"),
    "no checkpoint": (lambda found: [line for line in found if not is_checkpoint(line)], "audit.left_out"),
    "a checkpoint too early": (lambda found: [*found[:100], *filter(is_checkpoint, found), *found[100:]], "audit.left_out"),
    "a checkpoint altered": (lambda found: [line.replace(b"=\\n\\n", b"A\\n\\n") for line in found], "audit.signature"),
    "a line cut in two": (lambda found: [*found[:100], found[100][:50] + b"\n", *found[100:]], "audit.unreadable"),
    "a line of something else": (lambda found: [*found[:100], b"{}\n", *found[100:]], "audit.unreadable"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_not_as_it_was_sent_is_refused(collected: Collected, tmp_path: Path, name: str) -> None:
    change, code = CHANGES[name]
    file = tmp_path / "changed"
    file.write_bytes(b"".join(change(lines(collected.file))))
    with pytest.raises(InvalidInput) as refused:
        verify_file(file, collected.appliance.checkpoints.verifier, None)
    assert refused.value.stable_code == code
    assert refused.value.sentence.isprintable()


def test_signed_by_another_key_than_the_one_named_it_is_refused(collected: Collected) -> None:
    with pytest.raises(InvalidInput) as refused:
        verify_collected(collected.file, OTHER)
    assert refused.value.stable_code == "audit.other_key"


def test_it_holds_whole_and_with_lines_that_came_twice(collected: Collected, tmp_path: Path) -> None:
    key = collected.appliance.checkpoints.verifier
    found = lines(collected.file)
    file = tmp_path / "twice"
    file.write_bytes(b"".join([*found[:200], *found[150:], *found]))
    whole, twice = verify_collected(collected.file, key), verify_collected(file, key)
    assert is_collected(file)
    assert (twice.entries, twice.repeated) == (whole.entries, 50 + len(found))
    assert (whole.repeated, whole.after, whole.checkpoint.size) == (0, 0, whole.entries)
    assert not verify_collected(file).key_named, "nobody has said whose key that is"


@pytest.mark.parametrize("name", REWRITES)
def test_a_log_that_was_rewritten_on_the_box_does_not_continue_what_was_sent(
    collected: Collected, tmp_path: Path, name: str
) -> None:
    """By somebody with the root key, who made every hash and checkpoint anew: the checks of the box find nothing."""
    box = Box(collected.appliance, tmp_path)
    collected.run(60)
    key = collected.appliance.checkpoints.verifier
    assert verify_collected(collected.file, key).key_named
    box.rewrite(REWRITES[name], checkpoints=True)
    grow(collected.appliance, 60)
    collected.appliance.checkpoints.hourly()
    assert box.inside() == []
    assert collected.run(60) > 0
    with pytest.raises(InvalidInput) as refused:
        verify_collected(collected.file, key)
    assert refused.value.stable_code == "audit.rewritten"


def test_sent_again_from_the_first_entry_a_rewritten_log_contradicts_itself(collected: Collected, tmp_path: Path) -> None:
    box = Box(collected.appliance, tmp_path)
    box.rewrite(REWRITES["edited"], checkpoints=True)
    collected.appliance.checkpoints.hourly()
    with collected.appliance.database.write() as connection:
        connection.execute(text("DELETE FROM log_collectors"))
    collected.run(60)
    with pytest.raises(InvalidInput, match="came twice, and the two differ") as refused:
        verify_collected(collected.file, box.key)
    assert refused.value.stable_code == "audit.rewritten"


def test_a_memory_refuses_a_file_that_was_cut_or_is_of_another_log(collected: Collected, tmp_path: Path) -> None:
    key, memory = collected.appliance.checkpoints.verifier, tmp_path / "memory"
    first = tmp_path / "first"
    first.write_bytes(collected.file.read_bytes())
    assert witness(memory, first, key).grown_from is None
    seen = load_older(memory).checkpoint.size
    grow(collected.appliance, 5)
    collected.appliance.checkpoints.hourly()
    collected.run(60)
    verdict = witness(memory, collected.file, None)
    assert (verdict.grown_from, verdict.key_named) == (seen, True)
    with pytest.raises(InvalidInput) as refused:
        witness(memory, first, None)
    assert refused.value.stable_code == "audit.cut"
    assert load_older(memory).checkpoint.size == verdict.checkpoint.size


def test_an_older_checkpoint_shows_that_the_whole_file_is_a_rewritten_log(collected: Collected, tmp_path: Path) -> None:
    box = Box(collected.appliance, tmp_path)
    collected.file.write_bytes(b"")
    box.rewrite(REWRITES["edited"], checkpoints=True)
    collected.appliance.checkpoints.hourly()
    with collected.appliance.database.write() as connection:
        connection.execute(text("DELETE FROM log_collectors"))
    collected.run(60)
    verify_collected(collected.file, box.key)  # by itself it is whole
    with pytest.raises(InvalidInput) as refused:
        verify_collected(collected.file, None, load_older(box.memory))
    assert refused.value.stable_code == "audit.rewritten"


def test_the_command_checks_it_without_a_box(collected: Collected, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = str(collected.appliance.checkpoints.verifier)
    assert parse_verifier(key) == collected.appliance.checkpoints.verifier
    grow(collected.appliance, 3)
    collected.run(60)
    assert main(["audit", "verify", str(collected.file), "--key", key, "--json"]) == 0
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert document["held"]
    assert (document["entries"], document["after"]) == (collected.state().sent_seq, document["entries"] - document["size"])
    assert main(["audit", "verify", str(collected.file)]) == 1, "without a key it proves nothing"
    assert main(["audit", "witness", str(tmp_path / "memory"), str(collected.file), "--key", key]) == 0
    said = capsys.readouterr().out
    assert "It holds" in said
    assert f"{document['after']} of {document['entries']} entries" in said
    collected.file.write_bytes(collected.file.read_bytes().replace(b"night", b"day", 1) + b"{}\n")
    assert main(["audit", "verify", str(collected.file), "--key", key]) != 0
