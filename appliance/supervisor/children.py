"""One child process: started, watched, started again after a pause, ended."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import appliance
from appliance.lifeline import die_with_parent
from appliance.settings import Settings
from appliance.storage.clock import now_ms
from appliance.supervisor.sealing import Seal

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 30.0
STEADY_S = 60.0
"""A child that lived this long starts over with the first pause."""

ROOT = Path(appliance.__file__).resolve().parent.parent
_LOG_LIMIT_BYTES = 5_000_000


@dataclass(frozen=True, slots=True)
class ChildPlan:
    """What to start, and how to see that it is ready for work."""

    name: str
    command: tuple[str, ...]
    ready: Callable[[int], bool]  # takes the process id
    passed_descriptors: tuple[int, ...] = ()


def python_module(module: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", module, *arguments)


@dataclass(slots=True)
class Child:
    """A plan and what has become of it."""

    plan: ChildPlan
    environment: Mapping[str, str]
    log_path: Path
    seal: Seal
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0  # monotonic
    started_ms: int = 0
    starts: int = 0
    ready: bool = False
    start_at: float = 0.0
    pause_s: float = field(default=FIRST_PAUSE_S)

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process else None

    @property
    def restarts(self) -> int:
        return max(0, self.starts - 1)

    def start(self) -> None:
        """Start the process inside the seal; it dies with us, and keystrokes in our terminal do not reach it."""
        parent = os.getpid()

        def before_program() -> None:
            self.seal.enter(self.plan.name)
            # after the seal: the kernel forgets the wish when privileges change
            die_with_parent(parent)
            self.seal.report(self.plan.name)

        with self._log() as log:
            self.process = subprocess.Popen(  # noqa: S603 - our own modules and the chosen Redis
                self.plan.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env=dict(self.environment),
                pass_fds=self.plan.passed_descriptors,
                process_group=0,  # not a session of its own: niceness counts within a session (sched(7), autogroup)
                preexec_fn=before_program,  # noqa: PLW1509 - one thread only
            )
        self.started, self.started_ms = time.monotonic(), now_ms()
        self.starts += 1
        self.ready = False

    def look(self) -> bool:
        """Note what happened since; True when the process was found dead just now."""
        if self.process is None:
            return False
        self._shorten_log()
        if self.process.poll() is None:
            self.ready = self.ready or self.plan.ready(self.process.pid)
            return False
        now = time.monotonic()
        if now - self.started >= STEADY_S:
            self.pause_s = FIRST_PAUSE_S
        self.start_at = now + self.pause_s
        self.pause_s = min(self.pause_s * 2, LONGEST_PAUSE_S)
        self.process, self.ready = None, False
        return True

    def send(self, number: signal.Signals) -> None:
        """Signal the process, if there is one."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def ended(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def last_words(self) -> str:
        """The last line of the child's log: programs of ours end with a sentence."""
        try:
            with self.log_path.open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - 4_096))
                lines = log.read().decode(errors="replace").strip().splitlines()
        except OSError:
            return ""
        return lines[-1] if lines else ""

    def _shorten_log(self) -> None:
        """A long log becomes the one before and begins anew, in place: the process has it open, and appends."""
        with suppress(OSError):  # there is none yet, or no room to keep what it said
            if self.log_path.stat().st_size > _LOG_LIMIT_BYTES:
                try:
                    before = os.fdopen(_opened(self.log_path.with_suffix(".log.1"), os.O_TRUNC), "wb")
                    with self.log_path.open("rb") as log, before:
                        shutil.copyfileobj(log, before)
                finally:
                    os.truncate(self.log_path, 0)

    def _log(self) -> IO[bytes]:
        self.log_path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._shorten_log()
        return os.fdopen(_opened(self.log_path, os.O_APPEND), "ab")


def _opened(path: Path, how: int) -> int:
    """A log for writing, and no other file: we are outside the seal, and whoever says what stands in it is inside."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | how, 0o600)


def child_environment(settings: Settings, opt_outs: Mapping[str, str]) -> dict[str, str]:
    """All that a child sees: the settings as we have them, no telemetry, and nothing of the caller's environment."""
    given = {
        f"CLOISTER_{name.upper()}": str(getattr(settings, name))
        for name in type(settings).__dataclass_fields__
        if name != "data_dir"
    }
    return {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(settings.data_dir),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "PYTHONNOUSERSITE": "1",
        **given,
        **opt_outs,
    }
