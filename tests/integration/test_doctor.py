"""What `cloister doctor` says of boxes that were damaged on purpose."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from appliance.audit.checkpoints import Occasion
from appliance.bootstrap import Appliance, open_appliance
from appliance.cli import doctor
from appliance.cli.output import Output
from appliance.documents.models import Document, DocumentStatus
from appliance.documents.store import insert_document
from appliance.identity import factor_store
from appliance.settings import Settings
from appliance.storage.append_only import TRIGGERS
from appliance.storage.clock import now_ms

Examine = Callable[..., dict[str, Any]]


@pytest.fixture
def closed(settings: Settings) -> Appliance:
    """A box that nobody has open."""
    made = open_appliance(settings, create=True)
    made.setup.complete(made.setup.make_link(), "administrator", "a long enough passphrase")
    made.close()
    return made


@pytest.fixture
def examine(closed: Appliance, capsys: pytest.CaptureFixture[str]) -> Examine:
    """Findings by name."""

    def examined(*, deep: bool = False) -> dict[str, Any]:
        arguments = argparse.Namespace(data=closed.settings.data_dir, deep=deep)
        code = doctor.run(arguments, Output(as_json=True))
        report = json.loads(capsys.readouterr().out)
        assert report["sound"] == (code == 0)
        return {finding["name"]: finding for finding in report["findings"]}

    return examined


def damage_root_page(appliance: Appliance, table: str) -> None:
    with appliance.database.read() as connection:
        page = connection.execute(text("SELECT rootpage FROM sqlite_master WHERE name = :table"), {"table": table}).scalar_one()
        size = int(connection.execute(text("PRAGMA page_size")).scalar_one())  # SQLCipher answers in text
    appliance.close()
    overwrite(appliance.database.path, (page - 1) * size + size // 2, bytes(64))


def overwrite(path: Path, offset: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(content)


def test_a_damaged_database_is_a_finding_and_hides_no_other(closed, examine):
    damage_root_page(closed, "audit_events")
    findings = examine()
    assert {findings[name]["state"] for name in ("database", "audit log")} == {"failure"}
    assert findings["files"]["state"] == "ok"
    assert "disk" in findings


def test_each_finding_is_said_as_soon_as_it_is_made(closed, capsys, monkeypatch):
    said: list[str] = []

    def last(_: Appliance):
        said.append(capsys.readouterr().out)
        yield doctor.Finding("last", "ok", "seen")

    monkeypatch.setattr(doctor, "LOOKS", (*doctor.LOOKS[:1], last))
    doctor.run(argparse.Namespace(data=closed.settings.data_dir, deep=False), Output(as_json=False))
    assert said[0].startswith("ok      database:")
    assert capsys.readouterr().out == "ok      last: seen\n"


def tamper(appliance: Appliance, *statements: str) -> None:
    with appliance.database.write() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    appliance.close()


@pytest.mark.parametrize(
    "statements",
    [
        ["DROP TRIGGER audit_events_no_delete"],
        [
            "DROP TRIGGER audit_events_no_delete",
            "CREATE TRIGGER audit_events_no_delete BEFORE DELETE ON audit_events BEGIN SELECT 1; END",
        ],
        ["CREATE TRIGGER quiet AFTER INSERT ON audit_sealed BEGIN DELETE FROM audit_sealed; END"],
    ],
    ids=["dropped", "altered", "added"],
)
def test_triggers_of_the_audit_log_that_are_not_ours_are_a_failure(closed, examine, statements):
    assert examine()["audit log"]["state"] == "ok"
    tamper(closed, *statements)
    found = examine()["audit log"]
    assert (found["state"], "append-only" in found["sentence"]) == ("failure", True)


def test_a_sealed_value_that_went_without_an_entry_is_a_failure(closed, examine):
    told = "audit_sealed_told"
    tamper(closed, f"DROP TRIGGER {told}", "DELETE FROM audit_sealed", TRIGGERS[told])
    found = examine()["audit log"]
    assert (found["state"], "1 sealed values are gone" in found["sentence"]) == ("failure", True)


@pytest.mark.parametrize("column", ["body", "leaf_hash"])
def test_a_leaf_that_holds_text_in_place_of_bytes_is_a_failure(closed, examine, column):
    dropped = "audit_events_no_update"
    tamper(closed, f"DROP TRIGGER {dropped}", f"UPDATE audit_events SET {column} = 'text' WHERE seq = 1", TRIGGERS[dropped])
    findings = examine()
    assert (findings["audit log"]["state"], findings["files"]["state"]) == ("failure", "ok")


def test_a_log_that_contradicts_its_checkpoints_is_a_failure_and_a_box_that_stopped_signing_is_told(closed, examine, monkeypatch):
    assert "none was signed yet" in examine()["checkpoints"]["sentence"]
    with monkeypatch.context() as later:
        later.setattr(doctor, "now_ms", lambda: now_ms() + 3 * 3_600_000)
        later.setattr(doctor.wire, "answers", lambda _: True)
        assert examine()["checkpoints"]["state"] == "warning"
    size = closed.checkpoints.sign(Occasion.START).checkpoint.size
    closed.close()
    found = examine()["checkpoints"]
    assert (found["state"], f"the last over {size} entries" in found["sentence"]) == ("ok", True)
    with monkeypatch.context() as later:
        later.setattr(doctor, "now_ms", lambda: now_ms() + 3 * 3_600_000)
        assert examine()["checkpoints"]["state"] == "ok", "a box that rests owes none"
        later.setattr(doctor.wire, "answers", lambda _: True)
        found = examine()["checkpoints"]
        assert (found["state"], "though the appliance runs" in found["sentence"]) == ("warning", True)
    # whoever holds the key cuts the log, the chain is whole, and the signed number is not
    cut = [f"DELETE FROM {table} WHERE seq = {size}" for table in ("audit_resources", "audit_sealed", "audit_events")]
    tamper(closed, *(f"DROP TRIGGER {name}" for name in TRIGGERS), *cut, *TRIGGERS.values())
    findings = examine()
    assert (findings["audit log"]["state"], findings["checkpoints"]["state"]) == ("ok", "failure")
    assert f"a checkpoint was signed over {size}" in findings["checkpoints"]["sentence"]


@pytest.fixture
def blob(closed: Appliance) -> Path:
    """The stored file of a document; it alone is in the box."""
    stored = closed.blobs.put([bytes(200_000)], limit_bytes=1_000_000)
    with closed.database.write() as connection:
        collection = connection.execute(text("SELECT id FROM collections")).scalars().first()
        document = Document(
            id="d1",
            collection_id=collection,
            name="a.txt",
            media_type="text/plain",
            size_bytes=stored.size_bytes,
            sha256=stored.sha256,
            uploaded_by="p1",
            uploaded_ms=0,
            status=DocumentStatus.READY,
            stage="",
            percent=100,
            reason_code=None,
            reason=None,
            page_count=1,
            chunk_count=0,
        )
        insert_document(connection, document, stored.name)
    closed.close()
    return closed.blobs.directory / stored.name[:2] / stored.name


def test_a_cut_or_missing_file_is_noticed_by_its_length(examine, blob):
    assert examine()["files"]["state"] == "ok"
    blob.write_bytes(blob.read_bytes()[:-1])
    assert "0 are missing and 1 have a wrong length" in examine()["files"]["sentence"]
    blob.write_bytes(b"")
    assert examine()["files"]["state"] == "failure"
    blob.unlink()
    assert "1 are missing and 0 have a wrong length" in examine()["files"]["sentence"]


def test_an_altered_byte_is_noticed_by_a_deep_look(examine, blob):
    assert examine(deep=True)["content of files"]["state"] == "ok"
    overwrite(blob, blob.stat().st_size - 1, bytes([blob.read_bytes()[-1] ^ 1]))
    findings = examine(deep=True)
    assert (findings["files"]["state"], findings["content of files"]["state"]) == ("ok", "failure")


def test_an_index_of_another_model_than_the_active_one_is_a_failure_and_one_in_the_making_is_shown(closed, examine, tmp_path):
    from appliance.inference.store import records
    from appliance.inference.store.versions import VersionState
    from appliance.retrieval import indexes
    from tests.integration.documents.test_reembedding import version

    assert examine()["index"]["sentence"].startswith("indexed with a model that was not recorded, 384 dimensions")
    with closed.database.write() as connection:
        records.insert_version(connection, version("usual", "a" * 64, VersionState.ACTIVE))
        indexes.record_model(connection, "other@1", "b" * 64)
    assert examine()["index"]["state"] == "failure"
    with closed.database.write() as connection:
        connection.execute(text("UPDATE search_indexes SET model_id = 'usual@1', sha256 = :digest"), {"digest": "a" * 64})
    assert examine()["index"]["state"] == "ok"
    with closed.database.write() as connection:
        indexes.begin(connection, "next@1", "c" * 64, "system")
    closed.close()
    assert "next@1 is embedding the documents" in examine()["index"]["sentence"]
    with closed.database.write() as connection:
        indexes.hold(connection, 2, "2 questions find nothing.")
    closed.close()
    found = examine()["index"]
    assert (found["state"], "does not take over: 2 questions" in found["sentence"]) == ("warning", True)


def test_people_who_lack_a_second_factor_that_they_must_have_are_counted(closed, examine):
    assert examine()["second factor"] == {"name": "second factor", "state": "ok", "sentence": "nobody must have one"}
    file = closed.settings.data_dir / "settings.toml"
    file.write_text('second_factor_roles = "officer"\n')
    assert examine()["second factor"]["state"] == "ok"
    file.write_text('second_factor_roles = "officer, administrator"\n')
    found = examine()["second factor"]
    assert (found["state"], found["sentence"]) == ("warning", "1 of 1 who must have one lack it")
    with closed.database.write() as connection:
        (person,) = connection.execute(text("SELECT id FROM principals")).scalars()
        factor_store.begin_factor(connection, person, "A" * 32, 1)
        factor_store.confirm_factor(connection, person, 1, 1)
    closed.close()
    assert examine()["second factor"]["sentence"] == "all of 1 who must have one have it"
