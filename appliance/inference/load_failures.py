"""Loads that failed and said so: remembered for a while by all processes of the box, so that nobody waits for the same again.

Beside the marks of those that crashed (load_marks.py). A failure is a hint and no verdict: where nothing else may answer, what
failed is tried with each question, and a successful load ends the failure.
"""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import msgspec
import structlog

from appliance.storage.clock import now_ms

FIRST_MS = 60_000
LONGEST_MS = 600_000
"""So long after a failure the next question tries again: twice as long each time, and never longer than this."""

_FAILED = ".failed"
_NAMED = re.compile(rf"(?P<version>.+@\d+)\.(?P<runtime>.+){re.escape(_FAILED)}")

Attempt: TypeAlias = tuple[str, str]
"""The id of a version, and the runtime that loads it."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LoadFailure:
    """`times` in a row it failed, last at `failed_ms`; until `until_ms` others go before it."""

    code: str
    sentence: str
    times: int
    failed_ms: int
    until_ms: int

    def stands(self, at_ms: int) -> bool:
        """Whether others still go before it; not where the clock was set back since: then nobody knows how long ago it was."""
        return self.failed_ms <= at_ms < self.until_ms


class LoadFailures:
    """A file for each attempt that failed, in one directory; threads and processes may share it."""

    def __init__(self, directory: Path, clock: Callable[[], int] = now_ms) -> None:
        self._directory = directory
        self._clock = clock
        self._lock = threading.Lock()

    def known(self) -> dict[Attempt, LoadFailure]:
        """The last try of each of these failed, however long ago."""
        found = {}
        for file in self._directory.glob(f"*{_FAILED}"):
            failure, named = _read(file), _NAMED.fullmatch(file.name)
            if failure is not None and named is not None:
                found[named["version"], named["runtime"]] = failure
        return found

    def standing(self) -> dict[Attempt, LoadFailure]:
        """Those that are not tried again yet while another model may answer."""
        now = self._clock()
        return {attempt: failure for attempt, failure in self.known().items() if failure.stands(now)}

    def note(self, attempt: Attempt, code: str, sentence: str) -> bool:
        """Whether that is news: it did not fail before, or for another reason. Those who waited for one load count as one."""
        with self._lock:
            now, before = self._clock(), _read(self._file(attempt))
            news = before is None or before.code != code
            if before is not None and before.stands(now) and not news:
                return False
            times = 1 if before is None or news else before.times + 1
            pause = min(LONGEST_MS, FIRST_MS * 2 ** min(times - 1, 16))
            self._write(attempt, LoadFailure(code, sentence, times, now, now + pause))
            return news

    def end(self, attempt: Attempt) -> bool:
        """It was loaded; whether it had failed before."""
        try:
            self._file(attempt).unlink()
        except OSError:
            return False
        return True

    def forget(self, model_id: str) -> bool:
        """Let it be tried again at once, in whatever runtime; whether anything was remembered."""
        found = list(self._directory.glob(f"{model_id}.*{_FAILED}"))
        for file in found:
            file.unlink(missing_ok=True)
        return bool(found)

    def _file(self, attempt: Attempt) -> Path:
        return self._directory / f"{'.'.join(attempt)}{_FAILED}"

    def _write(self, attempt: Attempt, failure: LoadFailure) -> None:
        file = self._file(attempt)
        draft = file.with_suffix(f".{secrets.token_hex(4)}")
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft.write_bytes(msgspec.json.encode(failure))
            draft.replace(file)
        except OSError as error:  # a full disk keeps nobody from answering
            with suppress(OSError):
                draft.unlink()
            log.warning("load.unremembered", reason=error.strerror)


def _read(file: Path) -> LoadFailure | None:
    """None also for what cannot be understood: then it is tried."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=LoadFailure)
    except (OSError, msgspec.MsgspecError):
        return None
