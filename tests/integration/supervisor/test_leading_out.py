"""Somebody who took over a process of the box tries to lead those outside the seal: through links, settings, logs.

The supervisor and the commands of the shell stand outside and open files of the data directory by name. So a link there, or a
setting, would be a way out with the next start.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.egress.seal.confinement import CODE, Confinement, fasten
from appliance.egress.seal.layers import Name
from appliance.egress.seal.namespace import make_namespace
from appliance.egress.seal.reports import confine_own, read_reports
from appliance.supervisor.children import Child, ChildPlan
from appliance.storage.locks import sole_holder
from appliance.supervisor.sealing import make_seal
from appliance.settings import Settings
from appliance.errors import SetupError

_TRIES = """
import json, os, socket, sys
from pathlib import Path
data, scratch, outside = map(Path, sys.argv[1:4])
def tried(act):
    try:
        act()
    except OSError as error:
        return os.strerror(error.errno)
    return "done"
(scratch / "link").symlink_to("/")
(data / "new").write_text('redis_url = "redis://203.0.113.1:6379"')
settings = data / "settings.toml"
def made():
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(data / "run" / "x.sock"))
print(json.dumps({
    "link": tried(lambda: (data / "models").symlink_to("/")),
    "link below": tried(lambda: (data / "logs" / "web.log").symlink_to("/etc/passwd")),
    "link moved in": tried(lambda: (scratch / "link").rename(data / "link")),
    "pipe": tried(lambda: os.mkfifo(data / "pipe")),
    "settings written": tried(lambda: settings.write_text("require_seal = false")),
    "settings replaced": tried(lambda: (data / "new").rename(settings)),
    "settings removed": tried(settings.unlink),
    "shared memory": tried((outside / "seen").touch) if outside.exists() else "not there",
    "file": tried(lambda: (data / "blobs" / "x").write_text("x")),
    "hard link": tried(lambda: os.link(data / "blobs" / "x", data / "blobs" / "y")),
    "folder": tried(lambda: (data / "blobs" / "more").mkdir()),
    "moved": tried(lambda: (data / "blobs" / "y").rename(data / "blobs" / "more" / "z")),
    "socket": tried(made),
}))
"""


@pytest.fixture
def home_dir() -> Iterator[Path]:
    """As most data directories, not below /tmp: there every process of the box may do as it likes."""
    directory = Path(tempfile.mkdtemp(prefix=".cl-", dir=Path.home()))
    yield directory
    shutil.rmtree(directory)


@pytest.mark.usefixtures("kernel_seals")
def test_who_is_inside_makes_no_link_and_no_setting(home_dir: Path) -> None:
    data_dir = home_dir
    for name in ("blobs", "logs", "run"):
        (data_dir / name).mkdir()
    settings = data_dir / "settings.toml"
    settings.write_text("require_seal = true\n")
    outside = Path("/dev/shm") / f"cloister-test-{os.getpid()}"
    outside.mkdir()
    namespace = make_namespace([*map(Path, sys.path), CODE, data_dir], [settings])
    try:
        ran = subprocess.run(
            [sys.executable, "-c", _TRIES, str(data_dir), "/tmp", str(outside)],
            preexec_fn=lambda: fasten(Confinement(data_dir), namespace),
            capture_output=True,
            text=True,
            check=False,
            cwd=CODE,
        )
    finally:
        namespace.close()
        outside.rmdir()
    assert ran.returncode == 0, ran.stderr
    tried = json.loads(ran.stdout)
    refused = {name for name, came in tried.items() if came != "done"}
    assert refused == {
        "link",
        "link below",
        "link moved in",
        "pipe",
        "settings written",
        "settings replaced",
        "settings removed",
        "shared memory",
    }, tried
    assert settings.read_text() == "require_seal = true\n"
    settings.write_text("port = 9000\n")  # from outside, as an administrator does
    assert [path for path in data_dir.rglob("*") if path.is_symlink()] == []


@pytest.mark.usefixtures("kernel_seals")
def test_settings_that_could_be_exchanged_are_told_as_a_gap(home_dir: Path) -> None:
    (home_dir / "run").mkdir()
    seal = make_seal(Settings(data_dir=home_dir), CODE, {})
    seal.close()
    assert seal.missing == ()
    assert (home_dir / "settings.toml").read_text() == ""
    (home_dir / "settings.toml").rename(home_dir / "elsewhere.toml")
    (home_dir / "settings.toml").symlink_to(home_dir / "elsewhere.toml")
    seal = make_seal(Settings(data_dir=home_dir), CODE, {})
    seal.close()
    assert [(each.layer, "is a link" in each.detail) for each in seal.missing] == [(Name.FILES, True)]


class NoSeal:
    def enter(self, process: str) -> None: ...

    def report(self, process: str) -> None: ...


def test_a_log_that_is_a_link_leads_the_supervisor_nowhere(tmp_path: Path) -> None:
    target, log = tmp_path / "profile", tmp_path / "logs" / "web.log"
    target.write_text("mine\n")
    log.parent.mkdir()
    log.symlink_to(target)
    child = Child(ChildPlan("web", ("/bin/echo", "owned"), lambda _: True), {}, log, NoSeal())
    with pytest.raises(OSError, match="symbolic links"):
        child.start()
    log.unlink()
    log.write_bytes(b"owned\n" * 1_000_000)
    log.with_suffix(".log.1").symlink_to(target)
    child._shorten_log()
    assert target.read_text() == "mine\n"
    assert log.stat().st_size == 0


def test_a_lock_that_is_a_link_cuts_no_other_file(tmp_path: Path) -> None:
    (tmp_path / "profile").write_text("mine\n")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "lock").symlink_to(tmp_path / "profile")
    with pytest.raises(SetupError), sole_holder(tmp_path / "run" / "lock", "somebody"):
        pass
    assert (tmp_path / "profile").read_text() == "mine\n"


_CONFINED = """
import sys
from pathlib import Path
from appliance.egress.seal.confinement import Confinement
from appliance.egress.seal.reports import confine_own, report_own
run = Path(sys.argv[1]) / "run"
report_own(run, "web")  # as somebody else might write it: true, and of a process that nobody confined
confine_own(run, "web", Confinement(Path(sys.argv[1])))
"""


@pytest.mark.usefixtures("kernel_seals")
def test_a_report_that_others_wrote_spares_nobody_the_seal(data_dir: Path) -> None:
    subprocess.run([sys.executable, "-c", _CONFINED, str(data_dir)], check=True, cwd=CODE)
    report = json.loads((data_dir / "run" / "seal" / "web.json").read_bytes())
    held = {layer["name"] for layer in report["layers"] if layer["held"]}
    assert {"files", "families", "privileges", "core"} <= held
