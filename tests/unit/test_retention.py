"""What goes by its age, as pure rules: age, grace, numbers that change, and a clock that is set ahead or back."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from appliance.retention.clock import PATIENCE_MS, Belief, Reading, looked
from appliance.retention.rules import GRACE_MS, MOST_DAYS, NONE, Rule, shortens
from appliance.retention.terms import NEAR_MS, Stays
from appliance.storage.clock import DAY_MS

NOW = 1_800_000_000_000
HOUR_MS = 3_600_000
moments = st.integers(NOW - 50_000 * DAY_MS, NOW + 50_000 * DAY_MS)
numbers = st.none() | st.integers(1, MOST_DAYS)
changes = st.lists(st.tuples(numbers, st.integers(0, 60 * DAY_MS)), max_size=6)


def changed(steps: list[tuple[int | None, int]]) -> tuple[Rule, int]:
    """The rule after numbers were set one after the other, and the moment of the last."""
    rule, now = NONE, NOW
    for days, later in steps:
        now += later
        rule = rule.changed(days, now)
    return rule, now


@given(changes, moments, st.integers(0, 400 * DAY_MS))
def test_what_is_removed_is_what_people_were_told_would_be(steps, touched, later) -> None:
    """The query's cutoff and the day that pages show are one rule."""
    rule, now = changed(steps)
    moment = now + later
    cutoff, end = rule.cutoff_ms(moment), rule.end_ms(touched)
    assert (cutoff is not None and touched <= cutoff) == (end is not None and end <= moment)


@given(changes, moments, numbers, st.integers(0, GRACE_MS - 1))
def test_no_change_removes_anything_within_a_day_that_would_have_stayed(steps, touched, days, later) -> None:
    rule, now = changed(steps)
    before, after = rule.end_ms(touched), rule.changed(days, now).end_ms(touched)
    moment = now + later
    if after is not None and after <= moment:
        assert before is not None
        assert before <= moment


@given(changes, numbers)
def test_a_larger_number_holds_at_once_and_a_smaller_one_after_a_day(steps, days) -> None:
    rule, now = changed(steps)
    after = rule.changed(days, now)
    if days != rule.days:
        assert after.in_force(now) == (rule.in_force(now) if shortens(rule.in_force(now), days) else days)
    assert after.in_force(max(now, after.effective_ms)) == days
    assert after.effective_ms <= now + GRACE_MS


@given(changes, numbers, numbers)
def test_a_slip_of_the_finger_taken_back_within_the_day_leaves_no_trace(steps, slip, usual) -> None:
    assume(shortens(usual, slip))
    rule, now = changed([*steps, (usual, 0)])
    now += GRACE_MS
    back = rule.changed(slip, now).changed(usual, now + GRACE_MS - 1)
    assert [back.in_force(at) for at in (now + GRACE_MS - 1, now + GRACE_MS, now + 9 * DAY_MS)] == [usual] * 3


@given(changes, moments)
def test_a_grace_that_began_while_the_clock_stood_ahead_is_no_longer_than_a_day(steps, moment) -> None:
    rule, _ = changed(steps)
    kept = rule.not_later_than(moment)
    assert kept.in_force(moment + GRACE_MS) == rule.days
    assert (kept == rule) == (rule.effective_ms <= moment + GRACE_MS)


@pytest.mark.parametrize(("touched", "told"), [(NOW - 5 * DAY_MS, True), (NOW - 10 * DAY_MS, False), (NOW + 21 * DAY_MS, False)])
def test_an_end_is_told_where_it_is_near_and_still_to_come(touched, told) -> None:
    stays = Stays({"conversations": Rule(10), "c": Rule(10)}, NOW)
    expected = touched + 10 * DAY_MS if told else None
    assert stays.conversation_end_ms(touched) == stays.document_end_ms("c", touched) == expected
    assert stays.document_end_ms("other", touched) is None
    assert NEAR_MS == 30 * DAY_MS


# the clock -------------------------------------------------------------------------------------------------------------------

hours = st.integers(0, 48)
jumps = st.integers(-80_000 * DAY_MS, 80_000 * DAY_MS)
steps_of_time = st.lists(st.tuples(hours, jumps | st.just(0), st.booleans()), min_size=1, max_size=30)


def run(steps) -> list[tuple[Belief, int]]:
    """Hours run, then the clock set by so much, and whether the machine was started anew: what is believed, and hours run in all."""
    reading, ran = Reading(NOW, "boot", 0), 0
    found = [(looked(None, reading), 0)]
    for number, (hours_run, jump, anew) in enumerate(steps):
        ran += hours_run * HOUR_MS
        boot, mono = (f"boot {number}", 0) if anew else (reading.boot_id, reading.mono_ms + hours_run * HOUR_MS)
        reading = Reading(reading.wall_ms + hours_run * HOUR_MS + jump, boot, mono)
        found.append((looked(found[-1][0], reading), ran))
    return found


@given(steps_of_time)
def test_nothing_is_believed_that_lies_ahead_of_the_clock(steps) -> None:
    for belief, _ in run(steps):
        assert belief.believed_ms <= belief.wall_ms
        assert belief.doubtful == (belief.believed_ms < belief.wall_ms)


@given(st.integers(PATIENCE_MS + 1, 80_000 * DAY_MS), st.lists(st.integers(0, 12), max_size=12))
def test_a_clock_set_far_ahead_removes_nothing_before_the_box_has_run_with_it_for_a_day(jump, waits) -> None:
    reading, ran = Reading(NOW + jump, "boot", 0), 0
    belief = looked(looked(None, Reading(NOW, "boot", 0)), reading)
    assert belief.believed_ms == NOW
    for wait in waits:
        ran += wait * HOUR_MS
        reading = replace(reading, wall_ms=reading.wall_ms + wait * HOUR_MS, mono_ms=reading.mono_ms + wait * HOUR_MS)
        belief = looked(belief, reading)
        assert belief.believed_ms == (reading.wall_ms if ran >= PATIENCE_MS else NOW + ran)


@given(st.integers(3 * DAY_MS, 80_000 * DAY_MS), st.integers(0, 23))
def test_a_clock_that_is_set_right_again_has_done_nothing(jump, hours_ahead) -> None:
    ran = hours_ahead * HOUR_MS
    first = looked(None, Reading(NOW, "boot", 0))
    ahead = looked(first, Reading(NOW + jump, "boot", 0))
    later = looked(ahead, Reading(NOW + jump + ran, "boot", ran))
    assert later.believed_ms <= NOW + ran
    right = looked(later, Reading(NOW + ran + HOUR_MS, "boot", ran + HOUR_MS))
    assert (right.believed_ms, right.waited_ms) == (NOW + ran + HOUR_MS, 0)
    again = looked(right, Reading(NOW + jump, "boot", ran + HOUR_MS))
    assert again.believed_ms <= NOW + ran + HOUR_MS, "what was waited once does not count for the next time"


def test_a_second_jump_waits_anew_and_time_between_boots_does_not_count() -> None:
    belief = looked(looked(None, Reading(NOW, "a", 0)), Reading(NOW + 99 * DAY_MS, "a", 0))
    belief = looked(belief, Reading(NOW + 99 * DAY_MS + 23 * HOUR_MS, "a", 23 * HOUR_MS))
    assert belief.waited_ms == 23 * HOUR_MS
    moved = looked(belief, Reading(NOW + 300 * DAY_MS, "a", 24 * HOUR_MS))
    assert (moved.waited_ms, moved.doubtful) == (0, True)
    restarted = looked(belief, Reading(NOW + 100 * DAY_MS, "b", 40 * DAY_MS))
    assert (restarted.waited_ms, restarted.doubtful) == (23 * HOUR_MS, True)
    done = looked(restarted, Reading(NOW + 100 * DAY_MS + HOUR_MS, "b", 40 * DAY_MS + HOUR_MS))
    assert (done.believed_ms, done.doubtful) == (NOW + 100 * DAY_MS + HOUR_MS, False)


def test_a_box_that_is_off_at_night_is_never_in_doubt_and_one_that_was_off_for_a_week_for_a_day() -> None:
    belief = looked(None, Reading(NOW, "0", 0))
    for day in range(1, 9):
        belief = looked(belief, Reading(NOW + day * DAY_MS, str(day), 0))
        assert not belief.doubtful
    belief = looked(belief, Reading(NOW + 20 * DAY_MS, "later", 0))
    assert belief.doubtful
    for hour in range(1, 25):
        belief = looked(belief, Reading(NOW + 20 * DAY_MS + hour * HOUR_MS, "later", hour * HOUR_MS))
    assert not belief.doubtful


def test_a_clock_that_counts_backwards_within_a_boot_adds_nothing() -> None:
    belief = looked(looked(None, Reading(NOW, "a", 5 * DAY_MS)), Reading(NOW + 5 * DAY_MS, "a", 0))
    assert (belief.believed_ms, belief.waited_ms) == (NOW, 0)
