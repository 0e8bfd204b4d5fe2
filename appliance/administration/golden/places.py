"""Where a search finds what a golden question expects, and what two indexes make of the same questions. No model answers here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Connection

from appliance.administration.golden.margin import Margin
from appliance.administration.golden.models import Expected
from appliance.language.squad import contains_answer
from appliance.retrieval.models import Hit
from appliance.retrieval.pages import page_at


class Rank(NamedTuple):
    """A question and the places, from 1, of the first passage that serves; None where none was found."""

    question_id: str
    text: str
    before: int | None
    now: int | None


class Counts(NamedTuple):
    """Questions that were right with the serving index, and that are with the one to come."""

    before: int
    now: int

    @property
    def lost(self) -> int:
        return self.before - self.now


_NO_COUNTS = Counts(0, 0)


@dataclass(frozen=True, slots=True)
class IndexComparison:
    """One set, asked in both indexes.

    `first` counts the questions whose passage comes first, `found` those whose passage is among the first `depth`; `moved` are
    those that count otherwise now. `reason` says why it could not be asked, where it could not.
    """

    set_id: str
    compared: int = 0
    depth: int = 0
    allowed: int = 0
    first: Counts = _NO_COUNTS
    found: Counts = _NO_COUNTS
    moved: tuple[Rank, ...] = ()
    reason_code: str = ""
    reason: str = ""

    @property
    def regressed(self) -> bool:
        """Whether more questions lost their first place, or any place, than may."""
        return max(self.first.lost, self.found.lost) > self.allowed

    @property
    def stands_against(self) -> bool:
        return self.regressed or bool(self.reason_code)

    @property
    def worse(self) -> list[Rank]:
        return [place for place in self.moved if _level(place.now, self.depth) < _level(place.before, self.depth)]

    @property
    def better(self) -> list[Rank]:
        return [place for place in self.moved if _level(place.now, self.depth) > _level(place.before, self.depth)]


def compared_places(set_id: str, places: Sequence[Rank], depth: int, margin: Margin) -> IndexComparison:
    """What the places of all questions say. Pure."""
    before = [_level(place.before, depth) for place in places]
    now = [_level(place.now, depth) for place in places]
    return IndexComparison(
        set_id,
        compared=len(places),
        depth=depth,
        allowed=margin.allowed(len(places)),
        first=Counts(before.count(2), now.count(2)),
        found=Counts(len(places) - before.count(0), len(places) - now.count(0)),
        moved=tuple(place for place, was, level in zip(places, before, now, strict=True) if was != level),
    )


def place_of(connection: Connection, expected: Expected, hits: Sequence[Hit]) -> int | None:
    """The place of the first passage that serves, from 1."""
    return next((place for place, hit in enumerate(hits, 1) if serves(connection, expected, hit)), None)


def serves(connection: Connection, expected: Expected, hit: Hit) -> bool:
    """A passage of the document that must be cited; where none is named, one with an expected answer in its words."""
    if not expected.document:
        return contains_answer(hit.text, expected.answers)
    if hit.document_name != expected.document:
        return False
    return expected.page is None or hit.page <= expected.page <= (page_at(connection, hit.document_id, hit.end - 1) or hit.page)


def _level(place: int | None, depth: int) -> int:
    """2 for the first place, 1 for one of the first `depth`, 0 for none of them."""
    return 0 if place is None or place > depth else 1 + (place == 1)
