"""A bounded line of people in front of a runtime that answers one question at a time."""

from __future__ import annotations

import threading
import time
from collections import deque

from appliance.errors import Unavailable
from appliance.inference.models import CompletionRequest

HUNG_S = 120.0
"""A library that has not let go of an answer this long after it was stopped never will."""

_LOOK_S = 0.05


class WaitingLine:
    """First come, first served. At most `limit` wait."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._line: deque[object] = deque()  # the first one is being answered
        self._moved = threading.Condition()
        self._answered: tuple[object, CompletionRequest, float | None] | None = None
        self._stopped_at: float | None = None

    def join(self) -> object:
        """A place at the end. Raises `Unavailable` (`inference.busy`, with `ahead`) where too many wait already."""
        with self._moved:
            ahead = len(self._line)
            if ahead > self._limit:
                raise Unavailable(
                    f"The language model is busy: {ahead} questions are ahead of this one.", code="inference.busy", ahead=ahead
                )
            place = object()
            self._line.append(place)
            return place

    def leave(self, place: object) -> None:
        """Give the place up, whether it was reached or not; again does nothing."""
        with self._moved:
            if place in self._line:
                self._line.remove(place)
                self._moved.notify_all()

    def reach(self, place: object, request: CompletionRequest, ends_at: float | None) -> bool:
        """Wait for the turn; False where the request was stopped or its time ran out first."""
        with self._moved:
            while self._line[0] is not place:
                if stopped(request, ends_at):
                    return False
                self._moved.wait(_LOOK_S)
            self._answered, self._stopped_at = (place, request, ends_at), None
            return True

    def hung(self) -> bool:
        """Whether the one in front should have left long ago; to be asked every few seconds, as it counts from the first time."""
        with self._moved:
            if self._answered is None or self._answered[0] not in self._line or not stopped(*self._answered[1:]):
                return False
            self._stopped_at = self._stopped_at or time.monotonic()
            return time.monotonic() - self._stopped_at > HUNG_S

    def counts(self) -> tuple[int, int]:
        """How many are answered (0 or 1) and how many wait."""
        with self._moved:
            running = min(len(self._line), 1)
            return running, len(self._line) - running


def stopped(request: CompletionRequest, ends_at: float | None) -> bool:
    """Whether a person pressed stop or the deadline has passed."""
    return request.cancelled.is_set() or (ends_at is not None and time.monotonic() >= ends_at)


def ends_at(request: CompletionRequest) -> float | None:
    """The deadline on the monotonic clock."""
    return None if request.deadline_s is None else time.monotonic() + request.deadline_s
