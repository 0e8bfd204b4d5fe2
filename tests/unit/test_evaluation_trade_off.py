"""What other thresholds of silence would come to."""

from __future__ import annotations

from appliance.evaluation.trade_off import trade_off


def test_shares_below_each_threshold():
    found = trade_off([6.0, 7.1, 9.0, 12.0], [3.0, 7.0, 8.0], 7.1)
    assert (found["threshold"], found["false"], found["right"]) == (7.1, 0.25, 0.6667)
    assert list(found["trade_off"]) == ["5.6", "6.1", "6.6", "7.1", "7.6", "8.1", "8.6"]
    assert found["trade_off"]["8.1"] == {"false": 0.5, "right": 1.0}


def test_the_threshold_in_force_is_among_them_to_the_last_digit():
    assert list(trade_off([6.0], [3.0], 7.25)["trade_off"])[3] == "7.25"


def test_no_questions_of_a_kind_are_no_silence():
    assert trade_off([], [], 7.1)["false"] == 0.0
