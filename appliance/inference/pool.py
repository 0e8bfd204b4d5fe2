"""Runtimes that are loaded, each for one version of a model; the one replaced ends with its last answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from appliance.errors import Unavailable
from appliance.inference.runtime import Runtime

Told = Callable[[float], None]
"""Told how much of the model that is waited for was read, 0 to 1."""

_TELL_S = 0.5


def _nobody(_share: float) -> None:
    """Nobody is told."""


@dataclass(frozen=True, slots=True)
class RuntimeKey:
    """What is loaded: a version of a model, in a runtime, on a device of this box or at a named destination."""

    runtime: str
    model_id: str
    device: str = "cpu"
    destination: str = ""
    library: str = "cpu"


@dataclass(slots=True)
class _Place:
    """One loaded runtime, or one that is being loaded."""

    users: int = 0
    settled: threading.Event = field(default_factory=threading.Event)
    runtime: Runtime | None = None
    failure: Exception | None = None
    read: float = 0.0
    dropped: bool = False


class RuntimePool:
    """Gives each answer the runtime it was routed to and loads it when nobody has yet; threads may share it.

    A new version is loaded beside the old one while that still answers, so an activation interrupts nobody. Of those nobody uses
    only the one used last stays.
    """

    def __init__(self, load: Callable[[RuntimeKey, Told], Runtime]) -> None:
        """`load` tells how far it is."""
        self._load = load
        self._places: dict[RuntimeKey, _Place] = {}  # in the order of their last use
        self._lock = threading.Lock()
        self._closed = False

    @contextmanager
    def use(self, key: RuntimeKey, told: Told = _nobody) -> Iterator[Runtime]:
        """The runtime for the length of one answer; `told` hears how far it is while it is loaded, whoever has it loaded.

        Raises what loading it raises, to each who waited for it.
        """
        place = self._enter(key, told)
        try:
            yield self._settled(key, place, told)
        finally:
            self._leave(place)

    def loaded(self) -> dict[RuntimeKey, Runtime]:
        """What is loaded now."""
        with self._lock:
            return {key: place.runtime for key, place in self._places.items() if place.runtime is not None}

    def idle(self) -> dict[RuntimeKey, Runtime]:
        """Of what is loaded, what nobody uses: it goes before another one is loaded."""
        with self._lock:
            return {key: place.runtime for key, place in self._places.items() if place.runtime is not None and not place.users}

    def drop(self, key: RuntimeKey) -> None:
        """Load it anew for whoever asks for it next; it ends with its last answer."""
        with self._lock:
            place = self._places.pop(key, None)
            if place is not None and place.users:
                place.dropped = True
                return
        if place is not None:
            _close([place])

    def close(self) -> None:
        """Close all of them; answers still running end as their runtime ends them."""
        with self._lock:
            self._closed = True
            places, self._places = list(self._places.values()), {}
        _close(places)

    def _enter(self, key: RuntimeKey, told: Told) -> _Place:
        with self._lock:
            if self._closed:
                raise Unavailable("The language model has been unloaded.", code="inference.closed")
            place = self._places.pop(key, None)
            loads = place is None
            place = place or _Place()
            self._places[key] = place
            place.users += 1
            idle = self._idle() if loads else []  # its memory is wanted
        _close(idle)
        if loads:
            self._fill(key, place, told)
        return place

    def _fill(self, key: RuntimeKey, place: _Place, told: Told) -> None:
        def noted(share: float) -> None:
            place.read = share
            told(share)

        try:
            place.runtime = self._load(key, noted)
        except Exception as error:  # noqa: BLE001 - raised in `_settled`, by all who wait for it
            place.failure = error
            with self._lock:
                if self._places.get(key) is place:
                    del self._places[key]  # the next answer tries again
        finally:
            place.settled.set()

    def _settled(self, key: RuntimeKey, place: _Place, told: Told) -> Runtime:
        while not place.settled.wait(_TELL_S):
            told(place.read)
        if place.failure is not None:
            raise place.failure
        if place.runtime is None:
            raise Unavailable(f"The model {key.model_id} could not be loaded.", code="inference.load_failed")
        return place.runtime

    def _leave(self, place: _Place) -> None:
        with self._lock:
            place.users -= 1
            idle = self._idle()
            if place.dropped and not place.users:
                idle.append(place)
        _close(idle)

    def _idle(self) -> list[_Place]:
        """Take out those nobody uses, but for the one used last. The caller holds the lock and closes them after it."""
        last = next(reversed(self._places), None)
        idle = [key for key, place in self._places.items() if not place.users and key != last]
        return [self._places.pop(key) for key in idle]


def _close(places: list[_Place]) -> None:
    for place in places:
        if place.runtime is not None:
            place.runtime.close()
