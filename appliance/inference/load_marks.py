"""Loads that ended their process: a mark is written before native code takes a model in, and removed after it.

A crash in there leaves nobody to say so. The next process finds the mark, and a model that did so twice is loaded no more: else a
worker that loads it before it serves would be started again for ever. Workers only: what somebody's own command loads crashes
before their eyes.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import structlog

from appliance.errors import Unavailable
from appliance.lifeline import dies_with_parent

TRIES = 2
_LOADING, _DIED, _STOPPED = ".loading", ".died", ".stopped"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_START_FIELD = 19  # of what follows the name in /proc/PID/stat (proc_pid_stat(5), starttime)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Load:
    """Content by its digest, in the runtime that takes it in."""

    sha256: str
    runtime: str


class LoadMarks:
    """The marks in one directory, shared by all processes of the box, which may not see each other (containers).

    So each names the worker whose it is. Of that there is one at a time, and nobody else removes or counts the mark.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._worker = ""

    @contextmanager
    def around(self, load: Load, model_id: str) -> Iterator[None]:
        """While native code loads. Raises `Unavailable` (`inference.load_crashed`) for what crashed too often before."""
        if load in self.crashed():
            raise Unavailable(load_crashed(model_id), code="inference.load_crashed", model=model_id)
        mark = self._write(load) if self._worker else None
        loaded = False
        try:
            yield
            loaded = True
        finally:
            if mark is not None:
                mark.unlink(missing_ok=True)
            if loaded:
                self._remove(f"{load.sha256}.{load.runtime}.*{_DIED}")

    def settle(self, worker: str) -> dict[Load, int]:
        """For a process that starts as the only one of that name: count the loads in which the last one ended; how often each of
        those has by now.

        Not where it was told to stop before (`stopped`), and not where a parent that takes it along ended, or the machine did.
        """
        self._worker = worker
        told = self._told_to_stop()
        died = []
        for mark in sorted(self._directory.glob(self._own())):
            if told or mark.read_text() != _circumstances():
                mark.unlink()
            else:
                mark.rename(mark.with_suffix(_DIED))
                died.append(_load(mark))
        self._stop_file().unlink(missing_ok=True)  # told once, of what was ended by it
        counts = self._counts()
        return {load: counts.get(load, 0) for load in died}

    def stopped(self) -> IO[str]:
        """A file for whatever notes that this process was told to stop; what does so has to write something."""
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            return self._stop_file().open("w")
        except OSError as error:  # as below
            log.warning("load.unmarked", reason=error.strerror)
            return Path(os.devnull).open("w")

    def crashed(self) -> frozenset[Load]:
        """What is loaded no more."""
        return frozenset(load for load, times in self._counts().items() if times >= TRIES)

    def forget(self, sha256: str) -> bool:
        """Let it be tried again, in whatever runtime; whether anything spoke against it."""
        return self._remove(f"{sha256}.*{_DIED}")

    def withdraw(self) -> None:
        """For a worker that ends, or ends itself, while a thread of it may be loading: that is no crash."""
        self._remove(self._own())

    def _own(self) -> str:
        return f"*.{self._worker}-*{_LOADING}"

    def _stop_file(self) -> Path:
        return self._directory / f"{self._worker}{_STOPPED}"

    def _told_to_stop(self) -> bool:
        file = self._stop_file()
        return file.exists() and file.stat().st_size > 0

    def _counts(self) -> dict[Load, int]:
        counts: dict[Load, int] = {}
        for mark in self._directory.glob(f"*{_DIED}"):
            load = _load(mark)
            counts[load] = counts.get(load, 0) + 1
        return counts

    def _write(self, load: Load) -> Path:
        mark = self._directory / f"{load.sha256}.{load.runtime}.{self._worker}-{secrets.token_hex(4)}{_LOADING}"
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            mark.write_text(_circumstances())
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


def _load(mark: Path) -> Load:
    sha256, _, rest = mark.stem.partition(".")
    return Load(sha256, rest.rpartition(".")[0])


def _circumstances() -> str:
    """What a later process of this worker finds as it is, unless something ended this one that is no fault of a load's."""
    boot = _BOOT_ID.read_text().strip() if _BOOT_ID.exists() else ""
    # another parent says nothing where none takes us along: a container has a new one at each start
    return f"{boot} {_identity(os.getppid())}" if dies_with_parent() else boot


def _identity(pid: int) -> str:
    """A process as no other one can be: its number and when it started, in ticks since the machine did."""
    try:
        return f"{pid}-{Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[_START_FIELD]}"
    except (OSError, IndexError):  # gone, or outside of our container
        return f"{pid}-"
