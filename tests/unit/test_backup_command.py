"""Flags of `cloister backup` that would have no effect, and a passphrase typed in two ways."""

from __future__ import annotations

import getpass
from pathlib import Path

import pytest

from appliance.cli import main
from appliance.cli.backup import new_passphrase
from appliance.errors import InvalidInput


@pytest.mark.parametrize(
    "words",
    [
        ("--verify", "box.tar", "--with-models"),
        ("--verify", "box.tar", "--with-key"),
        ("--verify", "box.tar", "--passphrase-stdin"),
        ("--out", "box.tar", "--key", "root.key"),
        ("--out", "box.tar", "--passphrase-stdin"),
        ("--out", "box.tar", "--verify", "box.tar"),
    ],
)
def test_a_flag_without_effect_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["backup", *words, "--data", str(tmp_path)])
    assert ended.value.code == 2
    assert "--" in capsys.readouterr().err.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


def test_a_passphrase_that_is_typed_in_two_ways_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    typed = iter(["the passphrase of a stick", "the passphrase of a stik", "the same one twice", "the same one twice"])
    monkeypatch.setattr(getpass, "getpass", lambda _: next(typed))
    with pytest.raises(InvalidInput) as refused:
        new_passphrase(from_stdin=False)
    assert refused.value.stable_code == "backup.passphrase"
    assert new_passphrase(from_stdin=False) == "the same one twice"
