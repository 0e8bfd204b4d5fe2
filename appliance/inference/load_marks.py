"""Loads that ended their process: a mark is written before native code takes a model in, and removed after it.

A crash in there leaves nobody to say so. The next process finds the mark, and a model that did so twice is loaded no more: else a
worker that loads it before it serves would be started again for ever.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from appliance.errors import Unavailable

TRIES = 2
_LOADING, _DIED = ".loading", ".died"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_START_FIELD = 19  # of what follows the name in /proc/PID/stat (proc_pid_stat(5), starttime)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Load:
    """Content by its digest, in the runtime that takes it in."""

    sha256: str
    runtime: str


class LoadMarks:
    """The marks in one directory, shared by all processes of the box."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @contextmanager
    def around(self, load: Load, model_id: str) -> Iterator[None]:
        """While native code loads. Raises `Unavailable` (`inference.load_crashed`) for what crashed too often before."""
        if load in self.crashed():
            raise Unavailable(load_crashed(model_id), code="inference.load_crashed", model=model_id)
        mark = self._write(load)
        loaded = False
        try:
            yield
            loaded = True
        finally:
            mark.unlink(missing_ok=True)
            if loaded:
                self._remove(f"{load.sha256}.{load.runtime}.*{_DIED}")

    def settle(self) -> dict[Load, int]:
        """For a process that starts: count the loads that ended a process since; how often each of those has by now.

        Only those whose process had our parent: who stops the box while it loads ends the parent, and that is no crash.
        """
        died = []
        for mark in sorted(self._directory.glob(f"*{_LOADING}")):
            load, process = _read(mark)
            try:
                if process == _identity(int(process.partition("-")[0])):
                    continue
                if mark.read_text() == _parent():
                    mark.rename(mark.with_suffix(_DIED))
                    died.append(load)
                else:
                    mark.unlink()
            except (FileNotFoundError, ValueError):  # another process counted it; not a mark of ours
                continue
        counts = self._counts()
        return {load: counts.get(load, 0) for load in died}

    def crashed(self) -> frozenset[Load]:
        """What is loaded no more."""
        return frozenset(load for load, times in self._counts().items() if times >= TRIES)

    def forget(self, sha256: str) -> bool:
        """Let it be tried again, in whatever runtime; whether anything spoke against it."""
        return self._remove(f"{sha256}.*{_DIED}")

    def withdraw(self) -> None:
        """For a process that ends itself while a thread of it may be loading: that is no crash."""
        self._remove(f"*.{_identity(os.getpid())}-*{_LOADING}")

    def _counts(self) -> dict[Load, int]:
        counts: dict[Load, int] = {}
        for mark in self._directory.glob(f"*{_DIED}"):
            load, _ = _read(mark)
            counts[load] = counts.get(load, 0) + 1
        return counts

    def _write(self, load: Load) -> Path:
        name = f"{load.sha256}.{load.runtime}.{_identity(os.getpid())}-{secrets.token_hex(4)}{_LOADING}"
        mark = self._directory / name
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            mark.write_text(_parent())
        except OSError as error:  # a full disk keeps nobody from answering
            log.warning("load.unmarked", reason=error.strerror)
        return mark

    def _remove(self, pattern: str) -> bool:
        found = list(self._directory.glob(pattern))
        for mark in found:
            mark.unlink(missing_ok=True)
        return bool(found)


def load_crashed(model_id: str) -> str:
    """For people."""
    return f"The model {model_id} ended its process {TRIES} times while it was loaded, so it is not loaded again."


def _read(mark: Path) -> tuple[Load, str]:
    """The load, and the process that had it in hand; a strange file is a load of nothing."""
    sha256, _, rest = mark.stem.partition(".")
    runtime, _, process = rest.rpartition(".")
    return Load(sha256, runtime), process.rpartition("-")[0]


def _identity(pid: int) -> str:
    """A process as no other one can be: its number and when it started, in ticks since the machine did."""
    try:
        return f"{pid}-{Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[_START_FIELD]}"
    except (OSError, IndexError):  # gone, or outside of our container
        return f"{pid}-"


def _parent() -> str:
    boot = _BOOT_ID.read_text().strip() if _BOOT_ID.exists() else ""
    return f"{boot} {_identity(os.getppid())}"
