"""Bundles of a real log: what every export shows by itself, and what nobody gets past the verifier."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import text

from appliance.audit import store
from appliance.audit.bundle import read_bundle
from appliance.audit.canonical import canonical_json, leaf_hash
from appliance.audit.checkpoints import Occasion
from appliance.audit.completeness import Completeness
from appliance.audit.events import AuditEvent, EventName, Outcome, ResourceRef
from appliance.audit.matching import matches
from appliance.audit.notes import signed_note, verifier_of
from appliance.audit.older import load_older
from appliance.audit.store import AuditFilter
from appliance.audit.verification import Verdict, verify
from appliance.bootstrap import Appliance, open_appliance
from appliance.errors import InvalidInput, NotFound
from appliance.identity.models import Principal, Role
from appliance.settings import Settings

PORTER = Principal("p1", "night porter", "porter")
COOK = Principal("p2", "cook", "cook")
READ = AuditFilter(event=EventName.DOCUMENT_READ)
BY_COOK = AuditFilter(pseudonym="cook")


@dataclass
class Box:
    appliance: Appliance
    officer: Principal
    directory: Path

    def export(self, wanted: AuditFilter = AuditFilter(), kind: str = "bundle", name: str = "", **options: Any) -> Path:
        pieces = self.appliance.audit_review.export(self.officer, wanted, kind, **options)
        path = self.directory / (name or f"{kind}-{len(list(self.directory.iterdir()))}")
        path.write_bytes(b"".join(pieces))
        return path

    @property
    def key(self):
        return self.appliance.checkpoints.verifier

    def grow(self, count: int) -> None:
        with self.appliance.database.write() as connection:
            for number in range(count):
                event = AuditEvent(
                    (EventName.DOCUMENT_READ, EventName.PERSON_LISTED, EventName.QUESTION_ASKED)[number % 3],
                    COOK if number % 7 == 0 else PORTER,
                    resources=(ResourceRef("document", f"d{number}"),),
                    outcome=Outcome.FAILURE if number % 5 == 0 else Outcome.SUCCESS,
                    sealed={"name": f"words {number}"},
                )
                self.appliance.audit.append(connection, event)


def opened(directory: Path) -> Iterator[Box]:
    from appliance.identity.store import create_principal

    made = open_appliance(Settings(data_dir=directory / "data"), create=True)
    with made.database.write() as connection:
        officer = create_principal(connection, name="officer", password_hash="none", roles=(Role.OFFICER,))
    (directory / "out").mkdir()
    box = Box(made, officer, directory / "out")
    box.grow(290)
    yield box
    made.close()


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """One box for all tests that leave its log as it is; it only grows."""
    yield from opened(tmp_path_factory.mktemp("box"))


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    yield from opened(tmp_path_factory.mktemp("foreign"))


def code(act: Callable[[], object]) -> str:
    with pytest.raises(InvalidInput) as caught:
        act()
    return caught.value.stable_code


def read(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    header, *lines = [json.loads(line) for line in path.read_text().splitlines()]
    return header, lines


def written(path: Path, header: dict[str, Any], lines: list[dict[str, Any]]) -> Path:
    target = path.with_name("forged")
    target.write_text("".join(f"{json.dumps(item)}\n" for item in (header, *lines)))
    return target


FILTERS = {
    "everything": (AuditFilter(), Completeness.SHOWN),
    "an event": (READ, Completeness.SHOWN),
    "an event of a person": (replace(READ, pseudonym="cook"), Completeness.SHOWN),
    "an event that never was": (AuditFilter(event=EventName.BACKUP_MADE), Completeness.SHOWN),
    "a class that never was": (AuditFilter(event=EventName.EGRESS_CALLED), Completeness.SHOWN),
    "before all": (AuditFilter(until_ms=1_000), Completeness.CLOCK),
    "after all": (AuditFilter(since_ms=4_000_000_000_000), Completeness.CLOCK),
    "an event after all": (replace(READ, since_ms=4_000_000_000_000), Completeness.CLOCK),
    "a person": (BY_COOK, Completeness.WORD),
    "refusals": (AuditFilter(event=EventName.ACCESS_DENIED), Completeness.WORD),
    "failures": (AuditFilter(outcome=Outcome.FAILURE), Completeness.WORD),
    "a document": (AuditFilter(resource=ResourceRef("document", "d7")), Completeness.WORD),
}


@pytest.mark.parametrize("name", FILTERS)
def test_what_was_exported_holds_and_says_what_its_completeness_rests_on(box: Box, name: str) -> None:
    wanted, completeness = FILTERS[name]
    path = box.export(wanted)
    verdict = verify(path, box.key)
    with box.appliance.database.read() as connection:
        through = replace(wanted, through_seq=read(path)[0]["filter"]["through_seq"])
        assert verdict.matching == store.count(connection, through)
    assert (verdict.completeness, verdict.key_named, verdict.disclosed, verdict.grown_from) == (completeness, True, 0, None)
    assert not verify(path).key_named


def test_a_part_of_the_time_shows_one_entry_beyond_at_either_end(box: Box) -> None:
    with box.appliance.database.read() as connection:
        times = [each.time_ms for each in store.following(connection, AuditFilter())]
    since, until = times[100], times[-20] + 1
    path = box.export(AuditFilter(since_ms=since, until_ms=until))
    verdict = verify(path, box.key)
    assert (verdict.completeness, verdict.matching) == (Completeness.CLOCK, sum(since <= time < until for time in times))
    header, lines = read(path)
    assert [line["match"] for line in lines if header["stretch"]["first"] <= line["seq"] <= header["stretch"]["last"]].count(
        False
    ) <= 2


def test_everything_that_could_match_is_shown_where_it_is_asked_for(box: Box) -> None:
    plain, whole = verify(box.export(BY_COOK), box.key), verify(box.export(BY_COOK, whole=True), box.key)
    assert plain.matching == whole.matching > 40
    assert (plain.completeness, whole.completeness) == (Completeness.WORD, Completeness.SHOWN)
    assert plain.shown < whole.shown == whole.checkpoint.size


def test_a_checkpoint_alone_is_small_and_holds(box: Box) -> None:
    path = box.export(kind="checkpoint")
    verdict = verify(path, box.key)
    assert (verdict.matching, verdict.shown, verdict.completeness) == (0, 2, Completeness.NOTHING)
    assert path.stat().st_size < 5_000


def test_disclosed_values_are_bound_to_what_was_sealed_and_each_is_recorded(box: Box) -> None:
    with box.appliance.database.read() as connection:
        seqs = [each.seq for each in store.following(connection, BY_COOK)][:2]
    path = box.export(BY_COOK, disclose=seqs)
    assert verify(path, box.key).disclosed == 2
    header, lines = read(path)
    assert [line["disclosed"]["name"]["value"][:6] for line in lines if "disclosed" in line] == ["words "] * 2
    recent = box.appliance.audit_review.search(box.officer, AuditFilter(event=EventName.AUDIT_DISCLOSED))
    assert {each.resources[0].id for each in recent} >= {str(seq) for seq in seqs}
    with pytest.raises(NotFound):
        box.export(READ, disclose=[1])
    for change in ({"value": "other words"}, {"salt": b64encode(bytes(16)).decode()}, {"salt": "?"}):
        forged = [
            line | {"disclosed": {"name": line["disclosed"]["name"] | change}} if "disclosed" in line else line for line in lines
        ]
        assert code(lambda: verify(written(path, header, forged), box.key)) == "audit.altered"
    with pytest.raises(InvalidInput):
        box.export(kind="checkpoint", disclose=seqs)
    with pytest.raises(InvalidInput):
        box.export(kind="csv", since=1)
    bare = [{key: value for key, value in line.items() if key != "disclosed"} for line in lines]
    assert code(lambda: verify(written(path, header, bare), box.key)) == "audit.left_out"
    moved = [{key: value for key, value in line.items() if key != "disclosed"} for line in lines]
    moved[9]["disclosed"] = lines[0].get("disclosed") or next(line["disclosed"] for line in lines if "disclosed" in line)
    assert code(lambda: verify(written(path, header, moved), box.key)) == "audit.altered"


def edited(line: dict[str, Any], **changes: Any) -> dict[str, Any]:
    body = canonical_json(json.loads(line["body"]) | changes)
    leaf = json.loads(body)
    repeated = {"seq": leaf["seq"], "time": leaf["time"], "event": leaf["action"]}
    return line | repeated | {"body": body.decode(), "leaf_hash": leaf_hash(body).hex()}


def swap(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Two entries exchange places and take each other's numbers."""
    one, other = lines[4], lines[5]
    return [*lines[:4], edited(other, seq=one["seq"]), edited(one, seq=other["seq"]), *lines[6:]]


Forge = Callable[[dict[str, Any], list[dict[str, Any]]], tuple[dict[str, Any], list[dict[str, Any]]]]
ATTACKS: dict[str, tuple[Forge, str]] = {
    "an entry says something else": (
        lambda head, lines: (head, [lines[0] | {"body": lines[0]["body"].replace("allow", "deny").replace("none", "deny")}, *lines[1:]]),
        "audit.altered",
    ),
    "an entry was edited, with a new hash": (
        lambda head, lines: (head, [*lines[:4], edited(lines[4], actor_pseudonym="cook"), *lines[5:]]),
        "audit.not_in_tree",
    ),
    "the time beside the body is another": (lambda head, lines: (head, [lines[0] | {"time": lines[1]["time"] + "x"}, *lines[1:]]), "audit.altered"),
    "the event beside the body is another": (lambda head, lines: (head, [lines[0] | {"event": "x"}, *lines[1:]]), "audit.altered"),
    "an entry was deleted": (lambda head, lines: (head, [*lines[:4], *lines[5:]]), "audit.left_out"),
    "an entry was deleted, and the count with it": (
        lambda head, lines: (head | {"lines": head["lines"] - 1}, [*lines[:4], *lines[5:]]),
        "audit.not_in_tree",
    ),
    "an entry was inserted": (
        lambda head, lines: (head | {"lines": head["lines"] + 1}, [*lines, edited(lines[-1], seq=lines[-1]["seq"] + 1)]),
        "audit.altered",
    ),
    "an entry stands twice": (lambda head, lines: (head | {"lines": head["lines"] + 1}, [lines[0], *lines]), "audit.altered"),
    "two entries changed places": (lambda head, lines: (head, swap(lines)), "audit.not_in_tree"),
    "lines in another order": (lambda head, lines: (head, lines[::-1]), "audit.altered"),
    "the file ends early": (lambda head, lines: (head, lines[:-3]), "audit.left_out"),
    "no entries at all": (lambda head, lines: (head | {"lines": 0}, []), "audit.not_in_tree"),
    "the checkpoint says more": (
        lambda head, lines: (head | {"checkpoint": head["checkpoint"].replace("\n", "\n1", 1)}, lines),
        "audit.signature",
    ),
    "an entry is said not to match": (lambda head, lines: (head, [lines[0] | {"match": False}, *lines[1:]]), "audit.altered"),
    "another filter": (lambda head, lines: (head | {"filter": head["filter"] | {"outcome": "failure"}}, lines), "audit.altered"),
    "another filter that matches the same": (lambda head, lines: (head | {"filter": head["filter"] | {"since_ms": 1}}, lines), "audit.left_out"),
    "no filter": (lambda head, lines: (head | {"filter": None}, [line | {"match": False, "actor_name": None} for line in lines]), "audit.left_out"),
    "completeness is not shown": (lambda head, lines: (head | {"stretch": None}, lines), "audit.left_out"),
    "completeness begins late": (lambda head, lines: (head | {"stretch": head["stretch"] | {"first": 3}}, lines), "audit.left_out"),
    "completeness ends early": (lambda head, lines: (head | {"stretch": head["stretch"] | {"last": 9}}, lines), "audit.left_out"),
    "completeness of nothing": (lambda head, lines: (head | {"stretch": head["stretch"] | {"first": 9, "last": 8}}, lines), "audit.left_out"),
    "completeness of another class": (lambda head, lines: (head | {"stretch": {"class_uid": 1008, "first": 1, "last": 1}}, lines), "audit.left_out"),
    "the export is another entry": (lambda head, lines: (head | {"export_seq": 1}, lines), "audit.left_out"),
    "somebody else is named": (lambda head, lines: (head, [lines[0] | {"actor_name": "cook"}, *lines[1:]]), "audit.altered"),
    "somebody else is named throughout": (lambda head, lines: (head | {"names": head["names"] | {"of": head["names"]["of"] | {"porter": "the cook"}}}, [line | {"actor_name": "the cook"} if '"porter"' in line["body"] and line["match"] else line for line in lines]), "audit.altered"),
    "names with another salt": (lambda head, lines: (head | {"names": head["names"] | {"salt": "?"}}, lines), "audit.altered"),
    "no names": (lambda head, lines: (head | {"names": None}, [line | {"actor_name": None} for line in lines]), "audit.altered"),
    "a format to come": (lambda head, lines: (head | {"format": "cloister-audit-bundle/2"}, lines), "audit.unreadable"),
    "a member that does not exist": (lambda head, lines: (head | {"trust": "me"}, lines), "audit.unreadable"),
    "an event that does not exist": (lambda head, lines: (head | {"filter": head["filter"] | {"event": "x.y"}}, lines), "audit.unreadable"),
    "too many hashes": (lambda head, lines: (head | {"hashes": [*head["hashes"], b64encode(bytes(32)).decode()]}, lines), "audit.not_in_tree"),
}  # fmt: skip


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("wanted", [AuditFilter(), READ], ids=["everything", "an event"])
def test_what_was_done_to_a_file_is_found(box: Box, name: str, wanted: AuditFilter) -> None:
    path = box.export(wanted)
    forge, expected = ATTACKS[name]
    assert code(lambda: verify(written(path, *forge(*read(path))), box.key)) == expected


@pytest.mark.parametrize("wanted", [BY_COOK, READ], ids=["a person", "an event"])
def test_a_match_that_is_hidden_behind_its_hash_is_missed(box: Box, wanted: AuditFilter, monkeypatch) -> None:
    """The best a middleman can do: the tree is whole, the signature holds, and one entry shows nothing but its hash."""
    from appliance.audit import evidence

    gathered = evidence.gather

    def hiding(connection, wanted, **options):
        seen = gathered(connection, wanted, **options)
        seqs = [seq for seq in seen.seqs if seq != min(seen.matching)]
        tree = evidence.StoredTree(connection)
        hashes = evidence.as_text(evidence.cover(options["size"], [seq - 1 for seq in seqs], tree.perfect))
        return replace(seen, seqs=seqs, hashes=hashes)

    monkeypatch.setattr(evidence, "gather", hiding)
    path = box.export(wanted)
    with pytest.raises(InvalidInput, match="entries matched this export's filter") as caught:
        verify(path, box.key)
    assert caught.value.stable_code == "audit.left_out"


def test_an_older_export_under_a_newer_checkpoint_says_how_far_it_reached(box: Box) -> None:
    """Whoever holds every entry can put the entry of an old export, of which all is true, into the place of the new one."""
    nobody = AuditFilter(pseudonym="0" * 32)
    old = read(box.export(nobody))[0]
    box.grow(3)
    head, lines = read(box.export())
    lines = [line | {"match": False, "actor_name": None} for line in lines]
    replayed = head | {name: old[name] for name in ("filter", "export_seq", "names", "stretch")}
    verdict = verify(written(box.directory / "x", replayed, lines), box.key)
    assert (verdict.matching, verdict.wanted) == (0, replace(nobody, through_seq=old["filter"]["through_seq"]))
    assert verdict.wanted.through_seq < verdict.checkpoint.size - 3


def test_a_box_that_left_a_match_out_is_found_where_all_that_could_match_is_shown(box: Box, monkeypatch) -> None:
    """The box itself cheats while it exports: it counts what it shows, and signs it."""
    from appliance.audit import evidence

    honest_count, honest_seqs, gathered = store.count, store.matching_seqs, evidence.gather

    def hiding(connection, wanted, **options):
        seen = gathered(connection, wanted, **options)
        hidden = min(honest_seqs(connection, wanted))
        seqs = [seq for seq in seen.seqs if seq != hidden]
        tree = evidence.StoredTree(connection)
        hashes = evidence.as_text(evidence.cover(options["size"], [seq - 1 for seq in seqs], tree.perfect))
        return replace(seen, seqs=seqs, hashes=hashes)

    monkeypatch.setattr(store, "count", lambda connection, wanted: honest_count(connection, wanted) - 1)
    monkeypatch.setattr(evidence, "gather", hiding)
    for options in ({"wanted": READ}, {"wanted": BY_COOK, "whole": True}, {}):
        with pytest.raises(InvalidInput, match="could match"):
            verify(box.export(**options), box.key)
    assert verify(box.export(BY_COOK), box.key).completeness is Completeness.WORD, "this rests on its word, and says so"


def test_another_key_and_another_box_are_refused(box: Box, foreign: Box) -> None:
    path, theirs = box.export(READ), foreign.export(READ)
    assert code(lambda: verify(theirs, box.key)) == "audit.other_key"
    assert code(lambda: verify(theirs, None, load_older(path))) == "audit.other_key"
    assert code(lambda: load_older(path, foreign.key)) == "audit.other_key"
    header, lines = read(path)
    swapped = written(path, header | {"verifier_key": str(foreign.key)}, lines)
    assert code(lambda: verify(swapped)) == "audit.signature"
    mixed = written(path, read(theirs)[0], lines)
    assert code(lambda: verify(mixed, foreign.key)) in {"audit.left_out", "audit.not_in_tree", "audit.altered"}


def test_a_file_signed_anew_by_its_forger_holds_only_where_no_key_is_named(box: Box) -> None:
    path = box.export(READ)
    header, lines = read(path)
    key = Ed25519PrivateKey.generate()
    origin, rest = header["checkpoint"].rpartition("\n\n")[0].split("\n", 1)
    name = verifier_of(key)
    forged = written(
        path, header | {"verifier_key": str(name), "checkpoint": signed_note(f"{name.name}\n{rest}\n", key, name)}, lines
    )
    assert not verify(forged).key_named
    assert code(lambda: verify(forged, box.key)) == "audit.other_key"


@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_file_never_holds_as_something_else(box: Box, tmp_path: Path, data: st.DataObject) -> None:
    path = box.directory / "damaged-original"
    if not path.exists():
        box.export(replace(READ, pseudonym="cook"), name=path.name)
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= 1 << data.draw(st.integers(0, 7))
    damaged = tmp_path / "damaged"
    damaged.write_bytes(content)
    before = verify(path, box.key)
    try:
        after = verify(damaged, box.key)
    except InvalidInput:
        return
    # what no hash covers: how the text of the file is spelled
    assert after == before


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"{}", b"[]", b"\xff\x00", b'{"format":"cloister-audit-bundle/1"}\n', b"PK\x03\x04"]
)
def test_what_is_no_bundle_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    assert code(lambda: verify(path)) == "audit.unreadable"
    assert code(lambda: verify(tmp_path / "missing")) == "audit.no_file"
    assert code(lambda: verify(tmp_path)) == "audit.unreadable"


def test_the_filter_decides_of_a_leaf_what_the_search_decides_of_its_row(box: Box) -> None:
    with box.appliance.database.read() as connection:
        every = []
        while batch := store.following(connection, AuditFilter(), after_seq=every[-1].seq if every else 0):
            every += batch
        middle = every[len(every) // 2]
        for wanted in [each for each, _ in FILTERS.values()] + [
            AuditFilter(since_ms=middle.time_ms, until_ms=every[-1].time_ms),
            AuditFilter(through_seq=middle.seq, pseudonym="porter"),
            AuditFilter(resource=ResourceRef("person", box.officer.pseudonym)),
        ]:
            by_leaf = [each.seq for each in every if matches(json.loads(each.body), wanted)]
            assert by_leaf == store.matching_seqs(connection, wanted)


def test_an_older_checkpoint_is_continued(box: Box) -> None:
    old = box.export(kind="checkpoint")
    size = read_bundle(old)[0].checkpoint.split("\n")[1]
    box.grow(40)
    new = box.export(kind="checkpoint", since=int(size))
    verdict = verify(new, None, load_older(old))
    assert (verdict.grown_from, verdict.key_named) == (int(size), True)
    assert verify(old, None, load_older(old)).grown_from == int(size)
    assert code(lambda: verify(old, None, load_older(new))) == "audit.cut"
    assert code(lambda: verify(box.export(), None, load_older(old))) == "audit.no_proof"
    with pytest.raises(InvalidInput):
        box.export(since=100_000)
    header, lines = read(new)
    for since in (header["since"] | {"hashes": header["since"]["hashes"][:-1]}, header["since"] | {"hashes": ["?"]}):
        assert code(lambda: verify(written(new, header | {"since": since}, lines), None, load_older(old))) == "audit.rewritten"


def test_names_are_those_of_who_acted_and_can_be_told_from_no_leaf(box: Box) -> None:
    box.appliance.audit_review.search(box.officer, AuditFilter())
    header, lines = read(box.export(AuditFilter(event=EventName.AUDIT_READ)))
    assert header["names"]["of"] == {box.officer.pseudonym: "officer"}
    assert {line["actor_name"] for line in lines if line["match"]} == {"officer"}
    assert {line["actor_name"] for line in lines if not line["match"]} <= {None}
    told = json.loads(lines[-2]["body"])["facts"]["names"]
    again = read(box.export(AuditFilter(event=EventName.AUDIT_READ)))[1][-2]
    assert told != json.loads(again["body"])["facts"]["names"], "salted anew each time"


def test_an_export_stands_under_its_own_checkpoint(box: Box) -> None:
    _, lines = read(box.export(READ))
    assert [line["event"] for line in lines[-2:]] == ["audit.exported", "checkpoint.signed"]
    assert json.loads(lines[-1]["body"])["facts"]["occasion"] == str(Occasion.EXPORT)


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The verifier that docs/audit-format.md prints."""
    page = (Path(__file__).resolve().parents[3] / "docs" / "audit-format.md").read_text()
    _, verifier, *_ = re.findall(r"^```python\n(.+?)^```", page, re.MULTILINE | re.DOTALL)
    path = tmp_path_factory.mktemp("script") / "verifier.py"
    path.write_text(verifier)
    return path


@pytest.mark.parametrize(
    "name", ["", *(name for name, (_, found) in ATTACKS.items() if found in {"audit.not_in_tree", "audit.signature"})]
)
def test_the_documented_verifier_agrees(box: Box, script: Path, name: str) -> None:
    path = box.export(replace(READ, pseudonym="cook"))
    if name:
        path = written(path, *ATTACKS[name][0](*read(path)))
    ended = subprocess.run([sys.executable, script, path, str(box.key)], capture_output=True)
    assert (ended.returncode == 0) == (name == ""), ended.stderr.decode()
