"""A supervisor in a process of its own, over stand-ins for the web process and the workers that start in an instant."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.settings import Settings
from appliance.storage.keys import load_or_create_root_key
from appliance.supervisor import wire

_WEB = """
import os, socket, sys
door = socket.socket(fileno=int(sys.argv[sys.argv.index("--fd") + 1]))
open(os.path.join(sys.argv[sys.argv.index("--data") + 1], "environment"), "w").write("\\n".join(sorted(os.environ)))
while True:
    connection, _ = door.accept()
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 200 OK\\r\\ncontent-length: 0\\r\\n\\r\\n")
    connection.close()
"""
_WORKER = """
import os, pathlib, signal, sys, time
from appliance.settings import load_settings
from appliance.supervisor import wire
data = pathlib.Path(sys.argv[sys.argv.index("--data") + 1])
if (data / "refuse").exists():
    sys.exit("The model is not the one that was promised.")
if (data / "deaf").exists():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if (data / "slow").exists():
    time.sleep(60)
while True:
    try:
        wire.command(load_settings(data), "SET", "worker:" + sys.argv[1], '{"pid": %d}' % os.getpid(), "EX", "10")
    except OSError:
        pass
    time.sleep(0.2)
"""
_RUN = """
import pathlib, sys
import appliance.supervisor.children as children
from appliance.errors import SetupError
from appliance.settings import load_settings
from appliance.supervisor.run import run
children.ROOT = pathlib.Path(sys.argv[2])
data = pathlib.Path(sys.argv[1])
try:
    run(
        load_settings(data, {}, port=int(sys.argv[3]), redis_url=sys.argv[4] or None),
        ready=lambda running: print("ready", running.port, flush=True),
        notice=lambda notice: print(notice.event, notice.process, flush=True),
        opt_outs={"QUIET": "1"},
    )
except SetupError as error:
    sys.exit(error.sentence)
"""


class Box:
    def __init__(self, settings: Settings, stand_ins: Path) -> None:
        self.settings = settings
        self.stand_ins = stand_ins
        self.port = free_port()
        self.process: subprocess.Popen[str] | None = None

    def start(self, redis_url: str = "", wait: bool = True, before: str = "") -> None:
        """`before` is source that runs first in the supervisor's process."""
        command = [
            sys.executable,
            "-c",
            before + _RUN,
            str(self.settings.data_dir),
            str(self.stand_ins),
            str(self.port),
            redis_url,
        ]
        environment = {**os.environ, "SECRET_OF_THE_CALLER": "x"}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        if wait:
            self.wait_for("ready " + str(self.port))

    def wait_for(self, line: str) -> None:
        for read in self.process.stdout:
            if read.strip() == line:
                return
        raise AssertionError(self.process.stderr.read())

    def states(self) -> dict[str, dict]:
        return {state["name"]: state for state in json.loads(wire.command(self.settings, "GET", "processes") or b"[]")}

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str, float]:
        """Exit code, words on standard error, seconds."""
        began = time.monotonic()
        self.process.send_signal(number)
        _, words = self.process.communicate(timeout=20)
        return self.process.returncode, words, time.monotonic() - began


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


@pytest.fixture
def box(settings: Settings, tmp_path: Path) -> Iterator[Box]:
    root = Path(__file__).resolve().parents[3]
    for package, source in (("web", _WEB), ("workers", _WORKER)):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
        (tmp_path / package / "main.py").write_text(source)
    (tmp_path / "appliance").symlink_to(root / "appliance")
    # the mark of a box: without it the files of the stand-ins would be somebody else's
    load_or_create_root_key(settings.root_key_path, create=True)
    box = Box(settings, tmp_path)
    yield box
    if box.process is not None and box.process.poll() is None:
        box.process.kill()
        box.process.wait()
