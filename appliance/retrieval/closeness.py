"""How near to one another a passage holds the words of a question. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

_WINDOW = 20  # terms
_TOGETHER = 3  # terms


def closeness(asked: Mapping[str, float], passage: Sequence[str]) -> tuple[float, float]:
    """Two shares of the question's weight, each 0 to 1: what the best window of terms holds, and what stands together.

    `asked` gives the question's terms, in its order, with their weights. Neighbours in the question stand together where the
    passage has them within three terms.
    """
    total = sum(asked.values())
    found = [(place, term) for place, term in enumerate(passage) if term in asked]
    if not found or total <= 0:
        return 0.0, 0.0
    return _best_window(asked, found) / total, _together(asked, found) / (2 * total)


def _best_window(asked: Mapping[str, float], found: Sequence[tuple[int, str]]) -> float:
    best = weight = 0.0
    first = 0
    within: dict[str, int] = {}
    for place, term in found:
        if not within.get(term):
            weight += asked[term]
        within[term] = within.get(term, 0) + 1
        while place - found[first][0] > _WINDOW:
            left = found[first][1]
            within[left] -= 1
            if not within[left]:
                weight -= asked[left]
            first += 1
        best = max(best, weight)
    return best


def _together(asked: Mapping[str, float], found: Sequence[tuple[int, str]]) -> float:
    places: dict[str, list[int]] = {}
    for place, term in found:
        places.setdefault(term, []).append(place)
    return sum(
        asked[left] + asked[right]
        for left, right in pairwise(asked)
        if left in places
        and right in places
        and any(abs(here - there) <= _TOGETHER for here in places[left] for there in places[right])
    )
