"""Many values as counts in buckets of equal relative width, so that hours can be added up to days and still know their median.

That is DDSketch (Masson, Rim, Lee: "DDSketch: a fast and fully-mergeable quantile sketch with relative-error guarantees", VLDB
2019): bucket i holds what lies in (b^(i-1), b^i], and its middle is within `ACCURACY` of all of it. Pure.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import ceil, log

ACCURACY = 0.01
_BASE = (1 + ACCURACY) / (1 - ACCURACY)
_LEAST, _NOTHING = 0.001, -1_000
"""What is not above `_LEAST`, zero and below included, lies in the bucket `_NOTHING` and counts as zero."""


@dataclass(frozen=True, slots=True)
class Spread:
    """How many values lie in which bucket; nothing is known of their order."""

    buckets: Mapping[int, int] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return sum(self.buckets.values())

    def quantile(self, share: float) -> float | None:
        """The value that `share` of all do not exceed (nearest rank), within `ACCURACY`; None where there is none."""
        rank, passed = max(1, ceil(share * self.count)), 0
        for bucket in sorted(self.buckets):
            passed += self.buckets[bucket]
            if passed >= rank:
                return 0.0 if bucket == _NOTHING else 2 * _BASE**bucket / (_BASE + 1)
        return None


def spread_of(values: Iterable[float]) -> Spread:
    return Spread(Counter(_bucket(value) for value in values))


def added(spreads: Iterable[Spread]) -> Spread:
    """All of them as one, exactly as if it had been made of all their values."""
    total: Counter[int] = Counter()
    for spread in spreads:
        total.update(spread.buckets)
    return Spread(total)


def written(spread: Spread) -> str:
    return json.dumps({str(bucket): spread.buckets[bucket] for bucket in sorted(spread.buckets)}, separators=(",", ":"))


def read(text: str) -> Spread:
    return Spread({int(bucket): int(count) for bucket, count in json.loads(text).items()})


def _bucket(value: float) -> int:
    return _NOTHING if value <= _LEAST else ceil(log(value) / log(_BASE))
