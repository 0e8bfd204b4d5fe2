"""One request on its way through the engine, and the stream its caller reads."""

from __future__ import annotations

import codecs
import queue
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from appliance.errors import ApplianceError
from appliance.inference.llamacpp.drafting import Drafter
from appliance.inference.llamacpp.prefix import Sequence
from appliance.inference.llamacpp.sampling import Sampler
from appliance.inference.models import CompletionRequest, Delta, FinishReason, Usage

_LOOK_S = 0.02
"""How often a caller who waits for a token looks whether the answer was cancelled."""


@dataclass(slots=True, eq=False)
class Ticket:
    """A request with everything the engine knows about it. `alone` ones take nothing from other requests' reading."""

    request: CompletionRequest
    prompt: list[int]
    public: int
    sampler: Sampler
    arrival: int
    alone: bool = False
    ends_at: float | None = None  # monotonic
    deltas: queue.SimpleQueue[Delta | ApplianceError] = field(default_factory=queue.SimpleQueue)
    decoder: codecs.IncrementalDecoder = field(default_factory=lambda: codecs.getincrementaldecoder("utf-8")("replace"))
    sequence: Sequence | None = None
    cached: int = 0
    written: int = 0
    pending: int | None = None
    """The token that was chosen and not yet read."""
    history: list[int] = field(default_factory=list)
    drafter: Drafter | None = None
    over: bool = False

    @property
    def unread(self) -> int:
        """Tokens of the prompt still to be read."""
        return len(self.prompt) - (len(self.sequence.tokens) if self.sequence else 0)

    @property
    def writing(self) -> bool:
        return self.pending is not None

    def unwanted(self) -> bool:
        """Whether it was cancelled, has outlived its deadline, or ended for its caller in another way."""
        return self.over or self.request.cancelled.is_set() or (self.ends_at is not None and time.monotonic() >= self.ends_at)

    def last(self, reason: FinishReason) -> Delta:
        usage = Usage(prompt_tokens=len(self.prompt), completion_tokens=self.written, cached_tokens=self.cached)
        return Delta(self.decoder.decode(b"", final=True), reason, usage)


class Stream(Iterator[Delta]):
    """The deltas of one ticket. Letting go of it, by `close` or by forgetting it, ends the work on it."""

    def __init__(self, ticket: Ticket, let_go: Callable[[Ticket], None], check: Callable[[], None]) -> None:
        """`check` raises `Unavailable` when nothing more is to be expected."""
        self._ticket, self._let_go, self._check = ticket, let_go, check
        self._ended = False

    def __next__(self) -> Delta:
        if self._ended:
            raise StopIteration
        while True:
            if self._ticket.unwanted():
                self.close()
                return self._ticket.last(FinishReason.CANCELLED)
            try:
                found = self._ticket.deltas.get(timeout=_LOOK_S)
            except queue.Empty:
                try:
                    self._check()
                except ApplianceError:
                    self.close()
                    raise
                continue
            if isinstance(found, ApplianceError):
                self.close()
                raise found
            if found.finish_reason is not None:
                self._ended = True
            return found

    def close(self) -> None:
        """Take no more; the slot is free after the step that is running."""
        if not self._ended:
            self._ended = True
            self._let_go(self._ticket)

    def __del__(self) -> None:
        self.close()
