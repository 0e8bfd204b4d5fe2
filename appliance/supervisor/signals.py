"""Waiting for the end: a self-pipe instead of an event, because setting an event in a signal handler may deadlock."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterable
from types import FrameType, TracebackType
from typing import Any, Self

ENDING = (signal.SIGTERM, signal.SIGINT)


class Signals:
    """Within the block, SIGTERM and SIGINT no longer kill: they set `ending` and wake `wait`. Main thread only."""

    def __init__(self, also: Iterable[signal.Signals] = ()) -> None:
        """Signals in `also` wake `wait` without ending anything."""
        self.ending = False
        self._watched = (*ENDING, *also)
        self._previous: dict[signal.Signals, Any] = {}
        self._previous_wakeup = -1
        self._read_end, self._write_end = -1, -1

    def __enter__(self) -> Self:
        self._read_end, self._write_end = os.pipe()
        os.set_blocking(self._read_end, False)
        os.set_blocking(self._write_end, False)
        self._previous_wakeup = signal.set_wakeup_fd(self._write_end, warn_on_full_buffer=False)
        for number in self._watched:
            self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._previous_wakeup)
        os.close(self._read_end)
        os.close(self._write_end)

    def wait(self, timeout_s: float) -> bool:
        """Sleep until a signal comes or the time is over; whether the end was asked for."""
        if not self.ending and select.select([self._read_end], [], [], timeout_s)[0]:
            os.read(self._read_end, 4_096)
        return self.ending

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if number in ENDING:
            self.ending = True
