"""`cloister upgrade` on a box as an older version left it."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from appliance.cli import main, up
from appliance.cli.output import Output
from appliance.settings import Settings
from appliance.storage.migrations import newest_revision
from appliance.storage.locks import sole_holder
from tests.old_boxes import DOCUMENTS, REVISIONS, make_old_box

OLD = "0013"


@pytest.fixture
def old_box(settings: Settings) -> Settings:
    make_old_box(settings, OLD)
    return settings


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]):
    """Exit code and document of a command."""

    def run(settings: Settings, *words: str) -> tuple[int, dict[str, Any]]:
        code = main([*words, "--data", str(settings.data_dir), "--json"])
        return code, json.loads(capsys.readouterr().out.splitlines()[-1])

    return run


def test_where_there_is_no_box_none_is_made(settings: Settings, said, tmp_path: Path) -> None:
    for act in ([], ["--check"], ["--back"], ["--remove-copies"]):
        code, document = said(settings, "upgrade", *act)
        assert (code, document["error"]["code"]) == (1, "setup.no_data_directory")
    assert not list(settings.data_dir.glob("*.db"))


def test_a_check_tells_the_steps_and_changes_nothing(old_box: Settings, said) -> None:
    before = old_box.database_path.read_bytes()
    code, document = said(old_box, "upgrade", "--check")
    assert (code, document["found"], document["expected"]) == (1, OLD, newest_revision())
    assert [step["revision"] for step in document["pending"]] == REVISIONS[REVISIONS.index(OLD) + 1 :]
    assert document["database_bytes"] == len(before) < document["free_bytes"]
    assert all(step["title"].endswith(".") for step in document["pending"])
    assert old_box.database_path.read_bytes() == before
    assert not old_box.copies_dir.exists()


def test_an_upgrade_keeps_a_copy_says_where_and_is_checked(old_box: Settings, said, capsys) -> None:
    code, document = said(old_box, "upgrade")
    assert (code, document["found"], document["sound"]) == (0, OLD, True)
    copy = Path(document["copy"]["path"])
    assert copy.stat().st_size == document["copy"]["size_bytes"]
    findings = {finding["name"]: finding for finding in document["findings"]}
    assert findings["files"]["sentence"].startswith(f"{DOCUMENTS} stored")
    assert findings["audit log"]["state"] == "ok"
    code, document = said(old_box, "upgrade", "--check")
    assert (code, document["pending"], [item["path"] for item in document["copies"]]) == (0, [], [str(copy)])
    code, document = said(old_box, "doctor")
    (copies,) = (finding for finding in document["findings"] if finding["name"] == "copies")
    assert (code, copies["sentence"].startswith(f"1 kept by upgrades, {copy.stat().st_size / 1e6:.1f} MB")) == (0, True)
    assert main(["upgrade", "--data", str(old_box.data_dir)]) == 0
    assert str(copy) in capsys.readouterr().out


def test_an_upgrade_whose_box_is_not_in_order_does_not_pass_for_one(old_box: Settings, said) -> None:
    next(old_box.blobs_dir.glob("??/*")).unlink()
    code, document = said(old_box, "upgrade", "--without-copy")
    assert (code, document["sound"], document["copy"]) == (1, False, None)


def test_one_goes_back_by_a_command_and_removes_the_copies(old_box: Settings, said) -> None:
    assert said(old_box, "upgrade", "--back")[1]["error"]["code"] == "upgrade.no_copy"
    said(old_box, "upgrade")
    code, document = said(old_box, "upgrade", "--back")
    assert (code, document["schema"], document["sessions_ended"], document["files_missing"]) == (0, OLD, 1, 0)
    assert said(old_box, "upgrade", "--check")[0] == 1
    assert said(old_box, "upgrade", "--remove-copies") == (0, {"removed": 1})
    assert list(old_box.copies_dir.iterdir()) == []


def test_a_start_upgrades_the_box_whose_lock_it_holds_and_says_so(old_box: Settings, capsys) -> None:
    up._stopped(old_box, Output(as_json=False))  # one that was ended before it was prepared
    with sole_holder(old_box.box_lock_path, "somebody else"):
        assert not old_box.copies_dir.exists()
        assert up._start(old_box, SimpleNamespace(missing=(), reasons={}), Output(as_json=False)) == []
    assert (
        f"The box was upgraded from schema {OLD} to {newest_revision()}; the database as it was is kept in "
        in capsys.readouterr().err
    )


def test_any_command_upgrades_an_old_box_and_says_so(old_box: Settings, said, capsys) -> None:
    assert main(["users", "list", "--data", str(old_box.data_dir), "--as", "root"]) == 0
    assert (
        f"The box was upgraded from schema {OLD} to {newest_revision()}; the database as it was is kept in "
        in capsys.readouterr().err
    )
