from __future__ import annotations

from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from appliance.quality.spread import ACCURACY, Spread, added, read, spread_of, written

VALUES = st.lists(st.floats(0.01, 1e7), min_size=1, max_size=60)


@given(VALUES, st.floats(0.01, 1.0))
def test_a_quantile_is_as_near_as_it_promises(values: list[float], share: float) -> None:
    exact = sorted(values)[max(1, ceil(share * len(values))) - 1]
    found = spread_of(values).quantile(share)
    assert found is not None
    assert abs(found - exact) <= exact * ACCURACY * 1.001


@given(st.lists(VALUES, max_size=6))
def test_adding_up_is_as_if_all_had_been_counted_at_once(parts: list[list[float]]) -> None:
    whole = spread_of(value for part in parts for value in part)
    assert added(spread_of(part) for part in parts) == whole
    assert read(written(whole)) == whole
    assert whole.count == sum(len(part) for part in parts)


def test_nothing_has_no_quantile_and_what_is_not_above_nothing_counts_as_zero() -> None:
    assert Spread().quantile(0.5) is None
    assert spread_of([-3.0, 0.0, 5.0]).quantile(0.5) == 0.0
