"""What commands say where something is missing or nothing is to be said; no box is needed for it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from appliance.cli import evaluate, main


def test_no_terminal_and_no_password_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert main(["init", "--admin", "admin", "--data", str(tmp_path / "data")]) == 1
    said = capsys.readouterr().err
    assert "--password-stdin" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "data").exists()


def test_a_report_that_is_not_there_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = tmp_path / "report.json"
    assert main(["egress", "verify-report", str(missing), "--data", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"cloister: There is no file {missing}.\n"


def test_help_tells_the_defaults(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("CLOISTER_DATA", "/srv/100% ours")
    with pytest.raises(SystemExit):
        main(["up", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "(default: /srv/100% ours)" in said
    assert "(default: 8080)" in said


@pytest.mark.parametrize(
    ("answerable", "told"),
    [(2, "silent where there is an answer: 0.500"), (1, "is an answer: 0.500, where there is none: 0.000")],
)
def test_a_share_of_no_questions_is_not_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], answerable: int, told: str
) -> None:
    report: dict[str, Any] = {"questions": 2, "chunks": 2, "answerable": answerable, "retrieval": {}, "languages": {}}
    report |= {"search_ms": {"p50": 1.0, "p95": 1.0}, "silence": {"false": 0.5, "right": 0.0}}
    monkeypatch.setattr(evaluate, "evaluate", lambda *_, **__: report)
    monkeypatch.setattr(evaluate, "prepare_models", lambda *_: None)
    assert main(["evaluate", "set.json", "--data", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith(told)
