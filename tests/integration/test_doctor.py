"""What `cloister doctor` says of boxes that were damaged on purpose."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from appliance.bootstrap import Appliance, open_appliance
from appliance.cli import doctor
from appliance.cli.output import Output
from appliance.settings import Settings

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


def test_sealed_values_that_are_gone_are_counted(closed, examine):
    tamper(closed, "DELETE FROM audit_sealed")
    found = examine()["audit log"]
    assert (found["state"], "1 sealed values are gone" in found["sentence"]) == ("warning", True)
