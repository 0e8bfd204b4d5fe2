"""The figures of an hour or of many, and what is measured by them. No figure says who asked, or what. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from appliance.quality.spread import Spread, added

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS

COUNTS = ("questions", "answered", "abstained", "stopped", "failed", "helpful", "unhelpful", "supported", "withheld")
SPREADS = ("search_score", "first_word", "whole_time")


@dataclass(frozen=True, slots=True)
class Figures:
    """What happened from `start_ms` on.

    A question counts when it is asked, an answer when it ends, a judgement when it is given. `answered` are the finished answers
    that are not `abstained`; `supported` and `withheld` count sentences that the model wrote. Times are in milliseconds from the
    question on: `first_word` of all answers that showed one, `whole_time` of those that are `answered`.
    """

    start_ms: int
    questions: int = 0
    answered: int = 0
    abstained: int = 0
    stopped: int = 0
    failed: int = 0
    helpful: int = 0
    unhelpful: int = 0
    supported: int = 0
    withheld: int = 0
    search_score: Spread = field(default_factory=Spread)
    first_word: Spread = field(default_factory=Spread)
    whole_time: Spread = field(default_factory=Spread)


class Measure(StrEnum):
    """What may drift. The first four are shares, the others medians."""

    ABSTENTIONS = "abstentions"
    FAILURES = "failures"
    NEGATIVE_FEEDBACK = "negative_feedback"
    WITHHELD_SENTENCES = "withheld_sentences"
    SEARCH_SCORE = "search_score"
    FIRST_WORD = "first_word"
    WHOLE_TIME = "whole_time"

    @property
    def is_share(self) -> bool:
        return self not in {Measure.SEARCH_SCORE, Measure.FIRST_WORD, Measure.WHOLE_TIME}


@dataclass(frozen=True, slots=True)
class Measured:
    """A value and of how many it was made."""

    value: float
    count: int


def summed(figures: Iterable[Figures], start_ms: int) -> Figures:
    """All of them as one that starts at `start_ms`."""
    every = list(figures)
    counts: dict[str, Any] = {name: sum(getattr(each, name) for each in every) for name in COUNTS}
    counts |= {name: added(getattr(each, name) for each in every) for name in SPREADS}
    return Figures(start_ms, **counts)


def measured(measure: Measure, figures: Figures) -> Measured | None:
    """None where there is nothing to measure."""
    match measure:
        case Measure.ABSTENTIONS:
            return _share(figures.abstained, figures.answered + figures.abstained)
        case Measure.FAILURES:
            return _share(figures.failed, figures.answered + figures.abstained + figures.stopped + figures.failed)
        case Measure.NEGATIVE_FEEDBACK:
            return _share(figures.unhelpful, figures.helpful + figures.unhelpful)
        case Measure.WITHHELD_SENTENCES:
            return _share(figures.withheld, figures.supported + figures.withheld)
        case _:
            spread: Spread = getattr(figures, measure.value)
            median = spread.quantile(0.5)
            return None if median is None else Measured(median, spread.count)


def _share(part: int, whole: int) -> Measured | None:
    return Measured(part / whole, whole) if whole else None
