"""`cloister audit`, as an officer at a shell uses it, and as somebody without a box does."""

from __future__ import annotations

import errno
import dataclasses
import json
import os
from pathlib import Path

import pytest
from sqlalchemy import text

from appliance.audit import store
from appliance.audit.events import EventName
from appliance.audit.store import AuditFilter
from appliance.cli import main, up
from appliance.cli.output import Output
from appliance.supervisor.sealing import Seal
from tests.web_clients import store_document


@pytest.fixture
def cloister(appliance, officer, alice, capsys):
    document = store_document(appliance, alice, "plan.txt", b"A plan of the harbour.")

    def run(*words: str) -> tuple[int, str, str]:
        code = main(["audit", *words, "--data", str(appliance.settings.data_dir)])
        said = capsys.readouterr()
        return code, said.out, said.err

    run.document = document
    return run


@pytest.fixture
def nowhere(capsys, tmp_path: Path):
    """A machine without a box."""

    def run(*words: str) -> tuple[int, str, str]:
        code = main(["audit", *words, "--data", str(tmp_path / "nothing-here")])
        said = capsys.readouterr()
        assert not (tmp_path / "nothing-here").exists()
        return code, said.out, said.err

    return run


def test_who_acts_is_no_option_and_the_policy_decides(cloister, tmp_path: Path, capsys) -> None:
    for verb in ("search", "export"):
        for person in ("alice", "administrator"):
            out = ["--out", str(tmp_path / "file")] if verb == "export" else []
            assert cloister(verb, "--as", person, *out) == (1, "", "cloister: You may not do this.\n")
    for verb in ("search", "export"):
        with pytest.raises(SystemExit):
            cloister(verb)
    capsys.readouterr()
    assert not (tmp_path / "file").exists()
    found = json.loads(cloister("search", "--as", "officer", "--event", "access.denied", "--json")[1])["records"]
    assert [record["person"] for record in found] == ["administrator", "alice"] * 2


def test_what_cannot_be_asked_for_is_one_sentence(cloister, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("mine")
    for words, complaint in (
        (["search", "--event", "x.y"], "There is no event x.y."),
        (["search", "--from", "yesterday"], "yesterday is no time; write it as 2026-01-31T08:30."),
        (["search", "--who", "carol"], "There is no account named carol; `cloister audit holds` lists deleted ones"),
        (["export", "--out", str(taken)], f"There is a file {taken} already."),
        (["export", "--since", "9999", "--out", str(tmp_path / "x")], "it cannot have had 9999."),
        (["export", "--since", "9" * 5_000, "--out", str(tmp_path / "x")], "No log has so many entries."),
        (["export", "--since", str(tmp_path), "--out", str(tmp_path / "x")], "holds no checkpoint."),
        (["export", "--since", "a\0b", "--out", str(tmp_path / "x")], "holds no checkpoint."),
        (["export", "--since", str(taken), "--out", str(tmp_path / "x")], "no verifier key"),
    ):
        code, said, err = cloister(*words, "--as", "officer")
        assert (code, said, err.count("\n")) == (1, "", 1)
        assert complaint in err or "does not hold" in err or "holds no checkpoint" in err
    assert taken.read_text() == "mine"


def test_an_officer_searches(appliance, alice, cloister) -> None:
    key = "0123456789abcdef"
    appliance.chat.conversations(dataclasses.replace(alice, key_id=key))
    (line,) = cloister("search", "--as", "officer", "--api-key", key, "--event", "conversation.listed")[1].splitlines()
    assert line.endswith(f"conversation.listed    alice by key/{key}")
    code, said, _ = cloister("search", "--as", "officer", "--document", cloister.document)
    assert (code, said.count("\n")) == (0, 1)
    assert "document.uploaded" in said
    assert "alice" in said
    by_alice = json.loads(cloister("search", "--as", "officer", "--who", "Alice", "--json")[1])["records"]
    assert {"document.uploaded", "person.created"} <= {record["event"] for record in by_alice}
    (created,) = json.loads(cloister("search", "--as", "officer", "--who", "alice", "--event", "person.created", "--json")[1])[
        "records"
    ]
    pseudonym = created["resources"][0]["id"]
    assert (
        json.loads(cloister("search", "--as", "officer", "--who", pseudonym, "--json")[1])["records"][-1]["seq"] == created["seq"]
    )
    none = cloister("search", "--as", "officer", "--until", "2020-01-01")
    assert none == (0, "", "")


def test_an_export_is_verified_where_there_is_no_box(cloister, nowhere, tmp_path: Path) -> None:
    path = tmp_path / "evidence"
    code, said, _ = cloister("export", "--as", "officer", "--event", "document.uploaded", "--out", str(path), "--json")
    key = json.loads(said)["verifier_key"]
    assert (code, path.stat().st_mode & 0o777) == (0, 0o600)
    code, said, _ = nowhere("verify", str(path), "--key", key)
    assert code == 0
    assert said.startswith("It holds: 1 entries that match, among the first ")
    assert "\nAsked for: event document.uploaded.\n" in said
    assert "Nothing that matches was left out: every entry" in said
    assert "compare it with an older one by --since" in said
    late, far = tmp_path / "late", ["--from", "9999-12-31T23:59:59.9999", "--who", "alice"]
    assert cloister("export", "--as", "officer", *far, "--out", str(late))[0] == 0
    assert "ms after 1970.\n" in nowhere("verify", str(late), "--key", key)[1]
    code, said, _ = nowhere("verify", str(path))
    first, second, *_ = said.splitlines()
    assert (code, "it proves nothing: name the key" in first) == (1, True)
    assert second.startswith("Nothing in it contradicts the rest")
    document = json.loads(nowhere("verify", str(path), "--key", key, "--json")[1])
    assert (document["held"], document["completeness"], document["matching"]) == (True, "shown", 1)
    assert nowhere("verify", str(path), "--key", "nonsense")[0] == 1
    path.write_bytes(path.read_bytes().replace(b"success", b"failure", 1))
    code, said, err = nowhere("verify", str(path), "--key", key)
    assert (code, said) == (1, "")
    assert err.startswith("cloister: It does not hold: entry ")


def test_a_witness_keeps_watch_from_outside(cloister, nowhere, tmp_path: Path) -> None:
    memory, first, second, third = (str(tmp_path / name) for name in ("memory", "first", "second", "third"))
    key = json.loads(cloister("export", "--as", "officer", "--format", "checkpoint", "--out", first, "--json")[1])["verifier_key"]
    code, _, err = nowhere("witness", memory, first)
    assert (code, "Name the key" in err) == (1, True)
    code, said, _ = nowhere("witness", memory, first, "--key", key)
    assert (code, said.splitlines()[-2:]) == (0, [f"{memory} is a new memory: nothing older was compared.", f"Kept in {memory}."])
    code, said, _ = nowhere("witness", memory, first, "--key", key)
    assert (code, "This very checkpoint was seen before" in said, "a new memory" in said) == (0, True, False)
    size = json.loads(nowhere("witness", memory, "--json")[1])["size"]
    cloister("search", "--as", "officer")
    assert cloister("export", "--as", "officer", "--since", memory, "--out", second)[0] == 0
    code, said, _ = nowhere("witness", memory, second)
    assert (code, f"only grown since {size} entries" in said) == (0, True)
    code, _, err = nowhere("witness", memory, first)
    assert (code, "The log was cut, or this is the older of the two." in err) == (1, True)
    assert cloister("export", "--as", "officer", "--since", str(size), "--out", third)[0] == 0
    assert nowhere("verify", third, "--since", first)[0] == 0
    code, said, _ = nowhere("verify", third, "--since", third)
    assert (code, "so nothing was proved about growth" in said, "only grown" in said) == (0, True, False)
    assert nowhere("verify", third, "--since", second)[0] == 1


def test_an_export_that_ends_early_leaves_no_file(cloister, tmp_path: Path, monkeypatch) -> None:
    def full(*_: object, **__: object) -> list[store.AuditRecord]:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(store, "numbered", full)
    path = tmp_path / "evidence"
    assert cloister("export", "--as", "officer", "--out", str(path))[2].endswith("cannot be written (No space left on device).\n")
    assert not path.exists()


def test_where_no_file_can_be_the_log_tells_of_no_export(cloister, appliance, officer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for target in (tmp_path / "none" / "evidence", tmp_path / "file" / "evidence", tmp_path):
        code, said, err = cloister("export", "--as", "officer", "--out", str(target))
        assert (code, said, err.count("\n")) == (1, "", 1)
    assert appliance.audit_review.search(officer, AuditFilter(event=EventName.AUDIT_EXPORTED)) == []


@pytest.mark.parametrize(
    "content", [b"\x00\xff" * 4_000, b"", b"{", b'{"checkpoint": 1}', b"{" * 100_000, b"9" * 10_000 + b"\n\n"]
)
def test_what_is_no_older_file_is_one_sentence(nowhere, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "older").write_bytes(content)
    for words in (("verify", "missing", "--since", str(tmp_path / "older")), ("witness", str(tmp_path / "older"), "missing")):
        code, said, err = nowhere(*words)
        assert (code, said, err.count("\n")) == (1, "", 1), err
    for words in (
        ("verify", "missing", "--since", str(tmp_path)),
        ("witness", str(tmp_path), "missing"),
        ("verify", str(tmp_path)),
    ):
        code, said, err = nowhere(*words)
        assert (code, said, err.count("\n")) == (1, "", 1), err


def test_files_for_reading_stay_as_they_were(cloister, tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    assert cloister("export", "--as", "officer", "--format", "csv", "--out", str(path))[1] == f"{path}\n"
    assert path.read_text().startswith("seq,time,event,")


def test_the_box_signs_as_it_starts_and_as_it_stops_and_says_where_it_cannot(appliance, officer, capsys) -> None:
    """What `cloister up` does before and after all processes."""
    output, seal = Output(as_json=False), Seal(appliance.settings, Path("/"), None, {}, ())
    up._start(appliance.settings, seal, output)
    up._stopped(appliance.settings, output)
    found = appliance.audit_review.search(officer, AuditFilter(event=EventName.CHECKPOINT_SIGNED))
    assert [record.facts["occasion"] for record in found] == ["stop", "start"]
    assert capsys.readouterr().err == ""
    with appliance.database.write() as connection:
        connection.execute(text("DROP TRIGGER audit_checkpoints_no_update"))
        connection.execute(text("UPDATE audit_checkpoints SET note = 'x'"))
    up._start(appliance.settings, seal, output)
    assert "WARNING: The last checkpoint was altered" in capsys.readouterr().err
