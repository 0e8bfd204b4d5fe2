"""What a threshold of silence trades, on questions of which it is known whether the documents answer them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_STEPS = range(-3, 4)
_STEP = 0.5


def trade_off(answered: Sequence[float], unanswered: Sequence[float], threshold: float) -> dict[str, Any]:
    """Shares of both kinds of questions met with silence before a model is asked, from their scores (`answerability`).

    `false` is that of the questions that the documents answer, `right` that of the others; `trade_off` has both for thresholds
    around the given one.
    """

    def shares(least: float) -> dict[str, float]:
        return {"false": _below(answered, least), "right": _below(unanswered, least)}

    others = {str(least): shares(least) for least in (round(threshold + step * _STEP, 4) for step in _STEPS)}
    return {"threshold": threshold, **shares(threshold), "trade_off": others}


def _below(scores: Sequence[float], least: float) -> float:
    return round(sum(score < least for score in scores) / max(1, len(scores)), 4)
