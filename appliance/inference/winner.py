"""Which variant of a model is kept: one pure rule for the first start of a box and for `cloister models optimize`.

Quality first: a variant that answers significantly fewer of the fixed questions than the source is out, however fast. Of the
others the fastest wins, memory being a limit; those that are as fast as the fastest are a tie, which goes to the smallest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from appliance.inference.quality import MARGIN

TYPICAL_PROMPT, TYPICAL_ANSWER = 1_000, 100
"""A typical answer, which variants are compared by: so many tokens are read, so many written."""

TIE = 1.05
"""Times as long as the fastest that still counts as equally fast: two runs of one file differ by as much."""

FAR_BEHIND = 2.0
"""Times as long as the fastest so far, in a first look, from which on a variant cannot win any more."""


class Outcome(StrEnum):
    """What became of a variant."""

    KEPT = "kept"
    LOST = "lost"  # measured in full
    DROPPED = "dropped"  # given up before that
    FAILED = "failed"  # does not work on this machine
    LEFT_OUT = "left out"  # not even made


@dataclass(frozen=True, slots=True)
class Contender:
    """A variant that was timed. `quality` is None until it was asked; `four_at_once` is how many times as fast four answers are
    together as one after another.
    """

    label: str
    prefill_tokens_per_s: float
    decode_tokens_per_s: float
    memory_mb: float
    size_bytes: int
    quality: float | None = None
    four_at_once: float = 1.0

    @property
    def alone_s(self) -> float:
        """Seconds of a typical answer when nobody else asks."""
        return TYPICAL_PROMPT / self.prefill_tokens_per_s + TYPICAL_ANSWER / self.decode_tokens_per_s

    @property
    def seconds(self) -> float:
        """Of a typical answer: one alone and one in the company of three others count alike."""
        return self.alone_s * (1 + 1 / self.four_at_once) / 2


@dataclass(frozen=True, slots=True)
class Verdict:
    outcome: Outcome
    reason: str


@dataclass(frozen=True, slots=True)
class Decision:
    """`winner` is a label, None where nothing fits. `ask` are those whose quality has to be known before that is final.

    `able` are those that fit and are not known to answer worse: among them speed decides.
    """

    winner: str | None
    verdicts: Mapping[str, Verdict]
    ask: tuple[str, ...] = ()
    able: tuple[str, ...] = ()


def decide(contenders: Sequence[Contender], source: str, *, questions: int, room_mb: int) -> Decision:
    """Who wins by what is known so far. Who was not asked yet counts as good enough, and is named in `ask` where it matters.

    Where the source itself does not run here there is nothing to compare with but the best of the others: all are asked.
    """
    original = next((item for item in contenders if item.label == source), None)
    reference = original.quality if original else max((item.quality or 0.0 for item in contenders), default=0.0)
    needed = None if reference is None else reference - max(MARGIN, 1 / questions) - 1e-6
    verdicts, left = {}, list[Contender]()
    for item in contenders:
        if item.memory_mb > room_mb:
            sentence = f"It took {item.memory_mb:,.0f} MB of memory; {room_mb:,} MB are permitted."
            verdicts[item.label] = Verdict(Outcome.DROPPED, sentence)
        elif needed is not None and item.quality is not None and item.quality < needed:
            better = "its source" if original else "the best"
            sentence = f"It answers {_of(item.quality, questions)} rightly, {better} {round((reference or 0.0) * questions)}."
            verdicts[item.label] = Verdict(Outcome.LOST, sentence)
        else:
            left.append(item)
    if not left:
        return Decision(None, verdicts)
    fastest = min(left, key=lambda item: item.seconds)
    tied = [item for item in left if item.seconds <= TIE * fastest.seconds]
    winner = min(tied, key=lambda item: (item.memory_mb, item.size_bytes, item.seconds))
    able = tuple(item.label for item in left)
    for item in left:
        verdicts[item.label] = _verdict(item, winner, fastest)
    if winner is original or (original is None and len(left) == 1):
        return Decision(winner.label, verdicts, able=able)
    matters = [original, winner] if original else left
    return Decision(winner.label, verdicts, tuple(item.label for item in matters if item.quality is None), able)


def far_behind(contender: Contender, best: Contender) -> Verdict | None:
    """Why a variant is given up after a first look; None where it is not."""
    times = contender.alone_s / best.alone_s
    if times < FAR_BEHIND:
        return None
    return Verdict(Outcome.DROPPED, f"A first look: a typical answer takes {times:.1f} times as long as with {best.label}.")


def _verdict(item: Contender, winner: Contender, fastest: Contender) -> Verdict:
    if item is winner:
        tie = f", as fast as {fastest.label} and smaller" if winner is not fastest else ", the fastest"
        return Verdict(Outcome.KEPT, f"Of those that answer as well as the source{tie}.")
    times = item.seconds / winner.seconds
    if times <= TIE:
        return Verdict(Outcome.LOST, f"As fast as {winner.label}, and larger.")
    return Verdict(Outcome.LOST, f"A typical answer takes {times:.2f} times as long as with {winner.label}.")


def _of(quality: float, questions: int) -> str:
    return f"{round(quality * questions)} of {questions}"
