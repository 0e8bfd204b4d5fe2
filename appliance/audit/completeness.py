"""Whether a bundle shows by itself that nothing that matches was left out. Pure."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import Any

from appliance.audit.bundle import Header, Stretch
from appliance.audit.evidence import class_of, needs_stretch
from appliance.audit.matching import leaf_time_ms
from appliance.audit.store import AuditFilter
from appliance.errors import InvalidInput


class Completeness(StrEnum):
    """What the claim that nothing was left out rests on."""

    CLOCK = "clock"  # every leaf that could match is shown, as long as the clock of the box was never turned back
    SHOWN = "shown"  # every leaf that could match is shown
    WORD = "word"  # how many matched was recorded by the box when it exported, and it is its word
    NOTHING = "nothing"  # no leaf was asked for


class Numbers:
    """The leaves of the stretch, by number: time; and how many there are of each class, named as the last leaf counts them."""

    def __init__(self, stretch: Stretch | None) -> None:
        self.found: dict[int, int] = {}
        self.by_class: Counter[str] = Counter()
        self._stretch = stretch

    def take(self, leaf: dict[str, Any]) -> None:
        if self._stretch is not None and self._stretch.class_uid in {None, leaf["class_uid"]}:
            number = leaf["seq"] if self._stretch.class_uid is None else leaf["class_seq"]
            if number in self.found:
                raise ValueError("the same number twice")
            self.found[number] = leaf_time_ms(leaf)
            self.by_class[f"class_{leaf['class_uid']}"] += 1


def completeness(header: Header, size: int, counts: dict[str, Any], numbers: Numbers) -> Completeness:
    """`counts` are the facts of the last leaf. Raises `InvalidInput` (`audit.left_out`)."""
    by_class = counted_classes(counts)
    if sum(by_class.values()) != size:
        raise _left_out("the checkpoint counts other numbers of entries than it is signed over")
    if header.filter is None:
        return Completeness.NOTHING
    wanted, stretch = header.filter.as_filter(), header.stretch
    if stretch is None:
        if needs_stretch(wanted):
            raise _left_out("what shows that nothing was left out is missing")
        return Completeness.WORD
    if stretch.first > max(1, stretch.last) or stretch.class_uid not in {None, class_of(wanted)}:
        raise _left_out("what is shown beside the matches is of another kind than they are")
    total = size if stretch.class_uid is None else by_class.get(f"class_{stretch.class_uid}", 0)
    if stretch.last > total:
        raise _left_out("the checkpoint counts fewer entries of a class than are in the file")
    missing = next((number for number in range(stretch.first, stretch.last + 1) if number not in numbers.found), None)
    if missing is not None:
        kind = "" if stretch.class_uid is None else f" of class {stretch.class_uid}"
        raise _left_out(f"number {missing}{kind} is not in the file, and it could match")
    if len(numbers.found) == size and numbers.by_class != by_class:
        raise _left_out("the checkpoint counts other numbers of entries than are in the file")
    return _reach(wanted, stretch, total, numbers.found)


def counted_classes(counts: Any) -> dict[str, int]:
    """How many leaves of each class the last leaf under a checkpoint counts, whatever else stands in its facts."""
    found = counts.items() if isinstance(counts, dict) else ()
    return {name: n for name, n in found if name.startswith("class_") and isinstance(n, int) and n > 0}


def _reach(wanted: AuditFilter, stretch: Stretch, total: int, found: dict[int, int]) -> Completeness:
    begins, ends = stretch.first <= 1, stretch.last == total
    if begins and ends:
        return Completeness.SHOWN
    first, last = found.get(stretch.first), found.get(stretch.last)
    before = begins or (first is not None and wanted.since_ms is not None and first < wanted.since_ms)
    after = ends or (last is not None and wanted.until_ms is not None and last >= wanted.until_ms)
    if not (before and after):
        raise _left_out("what is shown begins too late, or ends too early, for the filter")
    return Completeness.CLOCK


def _left_out(what: str) -> InvalidInput:
    return InvalidInput(f"It does not hold: {what}.", code="audit.left_out")
