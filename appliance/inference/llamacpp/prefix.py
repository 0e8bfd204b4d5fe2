"""What the model's memory holds: which sequence has read what, and whose reading can be used again.

Beginnings are shared between sequences without being computed again (`llama_memory_seq_cp` gives cells a second owner); what
an answer has read stays until its place is needed, and the sequence that rested longest goes first. A person's sequences lend
another person only what both were told by the system: whether a prompt was read before can be seen by the clock.
"""

from __future__ import annotations

from collections.abc import Sequence as Tokens
from dataclasses import dataclass, field
from itertools import count
from typing import Protocol


class Cells(Protocol):
    """The part of `NativeModel` that is needed here."""

    def forget_from(self, position: int, sequence: int = 0) -> None: ...

    def share(self, source: int, target: int, length: int) -> None: ...


@dataclass(slots=True, eq=False)
class Sequence:
    """What one sequence has read. `public` of its tokens are the system's, `resting_since` is None while an answer uses it."""

    number: int
    person: str
    conversation: str
    public: int
    tokens: list[int] = field(default_factory=list)
    cells: list[int] = field(default_factory=list)
    promised: int = 0
    resting_since: int | None = None


class Memory:
    """Keeps account of `capacity` cells and `sequences` numbers. Used by the engine's thread alone."""

    def __init__(self, native: Cells, capacity: int, sequences: int) -> None:
        self._native = native
        self._owners = [0] * capacity
        self._free = list(range(capacity))
        self._numbers = list(range(sequences))
        self._sequences: list[Sequence] = []
        self._clock = count()

    @property
    def room(self) -> int:
        """Cells neither used nor promised to a running answer."""
        return len(self._free) - sum(sequence.promised for sequence in self._sequences)

    def common(self, prompt: Tokens[int], person: str, public: int) -> int:
        """How much of `prompt` was read already and may be used for this person. Its last token always is read anew."""
        return max((_lent(sequence, prompt, person, public) for sequence in self._sequences), default=0)

    def begin(
        self, prompt: Tokens[int], person: str, conversation: str, *, public: int, length: int, anew: bool = False
    ) -> Sequence | None:
        """A sequence that has read as much of `prompt` as can be had, with room for `length` tokens in all.

        None while there is no such room. With `anew` nothing is taken from what was read before.
        """
        lender, cached = (None, 0) if anew else self._lender(prompt, person, public)
        resumed = lender is not None and self._resumes(lender, conversation, cached)
        if not self._make_room(length - cached, keep=lender):
            if lender is None or lender.resting_since is None or not self._could_fit(length, cached, lender):
                return None
            resumed = True
        if lender is not None and resumed:
            self.trim(lender, cached)
            lender.person, lender.conversation, lender.public, lender.resting_since = person, conversation, public, None
            lender.promised = length - cached
            return lender
        number = self._number(keep=lender)
        if number is None:
            return None
        sequence = Sequence(number, person, conversation, public, promised=length - cached)
        if lender is not None and cached:
            self._native.share(lender.number, number, cached)
            sequence.tokens, sequence.cells = lender.tokens[:cached], lender.cells[:cached]
            for cell in sequence.cells:
                self._owners[cell] += 1
        self._sequences.append(sequence)
        return sequence

    def extend(self, sequence: Sequence, tokens: Tokens[int]) -> None:
        """Note that the model has read `tokens` as the continuation of `sequence`."""
        for _ in tokens:
            cell = self._free.pop()
            self._owners[cell] = 1
            sequence.cells.append(cell)
        sequence.tokens += tokens
        sequence.promised = max(0, sequence.promised - len(tokens))

    def trim(self, sequence: Sequence, length: int) -> None:
        """Forget what `sequence` has read from `length` on, or read without its being noted."""
        self._native.forget_from(length, sequence.number)
        for cell in sequence.cells[length:]:
            self._owners[cell] -= 1
            if not self._owners[cell]:
                self._free.append(cell)
        del sequence.tokens[length:], sequence.cells[length:]

    def rest(self, sequence: Sequence) -> None:
        """The answer is over; what was read may be used again until the room is needed."""
        sequence.promised, sequence.resting_since = 0, next(self._clock)

    def drop(self, sequence: Sequence) -> None:
        """Forget a sequence altogether."""
        self.trim(sequence, 0)
        self._sequences.remove(sequence)
        self._numbers.append(sequence.number)

    def drop_resting(self) -> None:
        """Forget everything that no running answer uses."""
        for sequence in self._resting():
            self.drop(sequence)

    def _lender(self, prompt: Tokens[int], person: str, public: int) -> tuple[Sequence | None, int]:
        best, longest = None, 0
        for sequence in self._sequences:
            lent = _lent(sequence, prompt, person, public)
            # of equals one that rests: it may be taken over as it is
            if lent > longest or (lent == longest > 0 and best is not None and best.resting_since is None):
                best, longest = sequence, lent
        return best, longest

    def _resumes(self, lender: Sequence, conversation: str, cached: int) -> bool:
        """Whether `lender` is continued rather than copied: its own conversation goes on, or nothing of it would be lost."""
        if lender.resting_since is None:
            return False
        return (conversation != "" and lender.conversation == conversation) or cached >= len(lender.tokens) - 1

    def _make_room(self, needed: int, keep: Sequence | None) -> bool:
        for sequence in self._resting():
            if self.room >= needed:
                break
            if sequence is not keep:
                self.drop(sequence)
        return self.room >= needed

    def _could_fit(self, length: int, cached: int, lender: Sequence) -> bool:
        own = sum(self._owners[cell] == 1 for cell in lender.cells[cached:])
        return self.room + own >= length - cached

    def _number(self, keep: Sequence | None) -> int | None:
        if not self._numbers:
            oldest = next((sequence for sequence in self._resting() if sequence is not keep), None)
            if oldest is None:
                return None
            self.drop(oldest)
        return self._numbers.pop()

    def _resting(self) -> list[Sequence]:
        """Those that no answer uses, the longest at rest first."""
        resting = [sequence for sequence in self._sequences if sequence.resting_since is not None]
        return sorted(resting, key=lambda sequence: sequence.resting_since or 0)


def _lent(sequence: Sequence, prompt: Tokens[int], person: str, public: int) -> int:
    limit = min(len(prompt) - 1, len(sequence.tokens))
    if sequence.person != person:
        limit = min(limit, public, sequence.public)
    return shared_length(sequence.tokens, prompt, limit)


def shared_length(left: Tokens[int], right: Tokens[int], limit: int) -> int:
    """For how many tokens both are the same, up to `limit`."""
    if left[:limit] == right[:limit]:
        return limit
    low, high = 0, limit
    while high - low > 1:
        middle = (low + high) // 2
        if left[low:middle] == right[low:middle]:
            low = middle
        else:
            high = middle
    return low
