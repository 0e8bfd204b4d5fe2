"""Which variant is kept: quality first, then speed, memory as a limit, ties to the smaller."""

from __future__ import annotations

import pytest

from appliance.inference.winner import Contender, Outcome, decide, far_behind

ROOM = 1_000


def contender(label: str, seconds: float, quality: float | None, memory_mb: float = 200, **more) -> Contender:
    """Half of a typical answer's seconds are spent reading, half writing."""
    speeds = {"prefill_tokens_per_s": 1_000 / (seconds / 2), "decode_tokens_per_s": 100 / (seconds / 2)}
    return Contender(label, **speeds, memory_mb=memory_mb, size_bytes=int(memory_mb * 1e6), quality=quality, **more)


SOURCE = contender("source", 10, 0.75)
CASES = [
    ("alone", [SOURCE], "source"),
    ("faster and as good", [SOURCE, contender("a", 5, 0.75)], "a"),
    ("two questions of 36 less", [SOURCE, contender("a", 5, 0.695)], "a"),
    ("three are significant", [SOURCE, contender("a", 5, 0.667)], "source"),
    ("the fastest is a fool", [SOURCE, contender("a", 2, 0.1), contender("b", 5, 0.8)], "b"),
    ("slower", [SOURCE, contender("a", 11, 0.9)], "source"),
    ("slower, and smaller too", [SOURCE, contender("a", 11, 0.9, 100)], "source"),
    ("a tie goes to the smaller", [SOURCE, contender("a", 5, 0.75, 300), contender("b", 5.2, 0.75, 200)], "b"),
    ("a tie with the source goes to the smaller", [SOURCE, contender("a", 9.8, 0.75, 150)], "a"),
    ("a tie with the source, which is smaller", [SOURCE, contender("a", 9.8, 0.75, 250)], "source"),
    ("a fool has no part in a tie", [SOURCE, contender("a", 5, 0.75, 300), contender("b", 5, 0.1, 100)], "a"),
    ("over the limit", [SOURCE, contender("a", 2, 0.75, ROOM + 1), contender("b", 5, 0.75)], "b"),
    ("at the limit", [SOURCE, contender("a", 2, 0.75, ROOM)], "a"),
    ("the source is over the limit", [contender("source", 1, 0.75, 2_000), contender("a", 5, 0.75)], "a"),
    ("and what fits is worse", [contender("source", 1, 0.75, 2_000), contender("a", 5, 0.5)], None),
    ("nothing fits", [contender("source", 1, 0.75, 2_000)], None),
    ("nothing at all", [], None),
    ("the source does not run: the best decides", [contender("a", 2, 0.5), contender("b", 5, 0.75)], "b"),
    ("and within its margin the fastest", [contender("a", 2, 0.7), contender("b", 5, 0.75)], "a"),
    ("company counts", [SOURCE, contender("a", 5, 0.75), contender("b", 5.5, 0.75, four_at_once=2.0)], "b"),
    ("as much as being alone", [SOURCE, contender("a", 5, 0.75), contender("b", 8, 0.75, four_at_once=2.0)], "a"),
    ("whose quality is unknown counts as good", [contender("source", 10, None), contender("a", 5, None)], "a"),
]


@pytest.mark.parametrize(("contenders", "winner"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_who_wins(contenders: list[Contender], winner: str | None):
    decision = decide(contenders, "source", questions=36, room_mb=ROOM)
    assert decision.winner == winner
    assert set(decision.verdicts) == {item.label for item in contenders}
    kept = [label for label, verdict in decision.verdicts.items() if verdict.outcome is Outcome.KEPT]
    assert kept == ([winner] if winner else [])
    assert all(verdict.reason.endswith(".") for verdict in decision.verdicts.values())
    reversed_order = decide(contenders[::-1], "source", questions=36, room_mb=ROOM)
    assert reversed_order.winner == winner


@pytest.mark.parametrize(
    ("qualities", "asked"),
    [
        ((None, None, None), ("source", "fast")),
        ((0.7, None, None), ("fast",)),
        ((0.7, 0.1, None), ("slow",)),
        ((0.7, 0.7, None), ()),
        ((None, 0.7, None), ("source",)),
        ((0.7, 0.1, 0.1), ()),
    ],
)
def test_only_what_matters_is_asked(qualities: tuple[float | None, ...], asked: tuple[str, ...]):
    contenders = [contender(name, s, q) for name, s, q in zip(("source", "fast", "slow"), (10, 2, 5), qualities, strict=True)]
    assert decide(contenders, "source", questions=12, room_mb=ROOM).ask == asked


def test_all_are_asked_where_the_source_does_not_run_and_nobody_where_it_wins():
    others = [contender("a", 2, None), contender("b", 5, None)]
    assert decide(others, "source", questions=12, room_mb=ROOM).ask == ("a", "b")
    assert decide(others[:1], "source", questions=12, room_mb=ROOM).ask == ()
    assert decide([contender("source", 1, None), *others], "source", questions=12, room_mb=ROOM).ask == ()


def test_the_reasons_name_numbers():
    contenders = [SOURCE, contender("a", 5, 0.75), contender("b", 3, 0.25), contender("c", 2, 0.75, 2_000)]
    verdicts = decide(contenders, "source", questions=36, room_mb=ROOM).verdicts
    assert verdicts["source"].reason == "A typical answer takes 2.00 times as long as with a."
    assert verdicts["b"].reason == "It answers 9 of 36 rightly, its source 27."
    assert verdicts["c"].reason == "It took 2,000 MB of memory; 1,000 MB are permitted."
    assert verdicts["c"].outcome is Outcome.DROPPED


@pytest.mark.parametrize(("seconds", "given_up"), [(5, False), (9.9, False), (10.1, True), (100, True)])
def test_what_takes_twice_as_long_is_given_up(seconds: float, given_up: bool):
    found = far_behind(contender("a", seconds, None), contender("best", 5, None))
    assert (found is not None) is given_up
