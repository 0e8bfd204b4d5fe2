"""Directories that go with whoever made them, whatever becomes of him."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.inference.store.content import ContentStore
from appliance.storage.scratch import leftovers, scratch, sweep_scratch

_HOLDER = """
import sys, time
from pathlib import Path
from appliance.storage.scratch import scratch
with scratch(Path(sys.argv[1]), ".foundry-") as directory:
    (directory / "link").symlink_to("/etc/passwd")
    print(directory, flush=True)
    time.sleep(60)
"""


def test_it_goes_at_the_end_and_after_an_error(tmp_path: Path) -> None:
    with scratch(tmp_path, ".x-") as directory:
        (directory / "file").write_text("x")
        assert directory.stat().st_mode & 0o777 == 0o700
    with pytest.raises(ValueError, match="oops"), scratch(tmp_path, ".x-"):
        raise ValueError("oops")
    assert list(tmp_path.iterdir()) == []


def test_only_what_nobody_holds_is_swept(tmp_path: Path) -> None:
    folders = tmp_path / "folders"
    folders.mkdir()
    (folders / "kept").mkdir()
    (folders / ".foundry-file").write_text("no directory")
    (folders / ".foundry-link").symlink_to(folders / "kept")
    with subprocess.Popen([sys.executable, "-c", _HOLDER, str(folders)], stdout=subprocess.PIPE, text=True) as holder:
        held = Path(holder.stdout.readline().strip())
        ContentStore(tmp_path).remove_leftovers()
        assert (held / "link").is_symlink()
        os.kill(holder.pid, signal.SIGKILL)
    assert held.exists()
    ContentStore(tmp_path).remove_leftovers()
    assert not held.exists()
    assert sorted(path.name for path in folders.iterdir()) == [".foundry-file", ".foundry-link", "kept"]
    assert Path("/etc/passwd").exists()


def test_a_place_that_is_not_there_has_nothing_to_sweep(tmp_path: Path) -> None:
    sweep_scratch(tmp_path / "none", ".x-")
    assert leftovers(tmp_path / "none", ".x-") == []
