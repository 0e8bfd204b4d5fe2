"""The box under proof: started by its own command, as a person would, and talked to by its own commands."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from appliance.egress.seal.confinement import CODE
from appliance.errors import Unavailable
from appliance.lifeline import die_with_parent

_READY_S = 300.0
_END_S = 30
_COMMAND_S = 300
_PROGRAM = (sys.executable, "-c", "import sys; from appliance.cli import main; sys.exit(main())")


@dataclass(slots=True)
class Box:
    """What its processes and its commands are told is all that they are told; nothing of the caller's reaches them."""

    data_dir: Path
    port: int
    environment: Mapping[str, str]
    command_environment: Mapping[str, str]
    url: str = ""
    setup_token: str = ""
    _process: subprocess.Popen[str] | None = field(default=None, init=False)

    @property
    def log(self) -> Path:
        """What the supervisor says on its standard error."""
        return self.data_dir.parent / f"{self.data_dir.name}.log"

    def start(self) -> list[str]:
        """Until the front door is open; the layers that it says are missing. Raises `Unavailable` (`proof.start`)."""
        parent = os.getpid()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                [*_PROGRAM, "up", "--data", str(self.data_dir), "--port", str(self.port), "--json"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=CODE,
                env=dict(self.environment),
                text=True,
                preexec_fn=lambda: die_with_parent(parent),  # noqa: PLW1509 - does nothing but one system call
            )
        assert self._process.stdout is not None
        waiting, _, _ = select.select([self._process.stdout], [], [], _READY_S)
        line = self._process.stdout.readline() if waiting else ""
        started: dict[str, Any] = json.loads(line) if line.startswith("{") else {}
        if "url" not in started:
            raise Unavailable(f"The box did not start: {started or line or 'it said nothing'}.", code="proof.start")
        self.url = started["url"]
        self.setup_token = started.get("setup_url", "").partition("token=")[2]
        return list(started["seal_missing"])

    def stop(self) -> int:
        """Ask it to end, and wait; its exit code."""
        if self._process is None:
            return 0
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def command(self, *words: str) -> tuple[int, dict[str, Any]]:
        """A command of the shell on this box: its exit code and its document. Raises `Unavailable` (`proof.command`)."""
        try:
            ran = subprocess.run(  # noqa: S603 - our own command
                [*_PROGRAM, *words, "--data", str(self.data_dir), "--json"],
                cwd=CODE,
                env=dict(self.command_environment),
                capture_output=True,
                text=True,
                check=False,
                timeout=_COMMAND_S,
            )
        except subprocess.TimeoutExpired:
            raise Unavailable(f"cloister {words[0]} did not end within {_COMMAND_S} s.", code="proof.command") from None
        last = ran.stdout.splitlines()[-1:] or ["{}"]
        return ran.returncode, json.loads(last[0]) if last[0].startswith("{") else {}

    def status(self) -> dict[str, Any]:
        """What `cloister egress status` says."""
        return self.command("egress", "status")[1]

    def pids(self) -> dict[str, int]:
        """Of the processes that have reported, by name."""
        reports = self.data_dir / "run" / "seal"
        found = (json.loads(file.read_bytes()) for file in reports.glob("*.json") if file.stem != "outside")
        return {report["process"]: report["pid"] for report in found}

    def killed(self, name: str, number: signal.Signals, patience_s: float = 60.0) -> int:
        """End a process the hard way, and wait for the next one; its id."""
        before = self.pids()[name]
        os.kill(before, number)
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            after = self.pids().get(name, before)
            if after != before and Path(f"/proc/{after}").exists():
                return after
            time.sleep(0.05)
        raise Unavailable(f"{name} was killed and did not come back.", code="proof.crash")
