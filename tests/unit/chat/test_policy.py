from __future__ import annotations

from pathlib import Path

import pytest

from appliance.chat.policy import Silence, load_answers_policy
from appliance.errors import SetupError

WHOLE = "[silence]\nthreshold = 7\nown_words = 0.5\nnearest = 5\n"
SHIPPED = Path(__file__).parents[3] / "policies" / "answers.toml"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "threshold = 7",
        "[silence]\nthreshold = 7",
        "[silence]\nthreshold = 7\nown_words = true\nnearest = 5",
        '[silence]\nthreshold = "7"\nown_words = 0.5\nnearest = 5',
        "[silence]\nthreshold = -1\nown_words = 0.5\nnearest = 5",
        "[silence]\nthreshold = nan\nown_words = 0.5\nnearest = 5",
        "[silence]\nthreshold = 7\nown_words = 0.5\nnearest = 5\nmercy = 1",
        "[silence]\nthreshold = 7\nown_words = 0.5\nnearest = 5\n[noise]\n",
        "[silence]\nthreshold = 7\nown_words = 0.5",
        "[silence",
        WHOLE + "[[measured]]\nquestions = 'some'\nright = { '7.1' = 0.5 }",
        WHOLE + "[[measured]]\nquestions = 5\nright = { '7.1' = 0.5 }\nfalse = { '7.1' = 0.5 }",
        WHOLE + "[[measured]]\nquestions = 'some'\nright = { '7.1' = 50 }\nfalse = { '7.1' = 0.5 }",
        WHOLE + "[[measured]]\nquestions = 'some'\nright = { '7.1' = 0.5 }\nfalse = { '7.6' = 0.5 }",
        WHOLE + "[[measured]]\nquestions = 'some'\nright = { high = 0.5 }\nfalse = { high = 0.5 }",
        WHOLE + "[measured]\nquestions = 'some'",
    ],
)
def test_what_is_not_understood_is_refused_as_a_whole(tmp_path: Path, text: str) -> None:
    (tmp_path / "answers.toml").write_text(text)
    with pytest.raises(SetupError, match="no question is answered") as refused:
        load_answers_policy(tmp_path / "answers.toml")
    assert refused.value.stable_code == "setup.answers"


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError):
        load_answers_policy(tmp_path / "answers.toml")


def test_the_shipped_policy_is_read() -> None:
    assert load_answers_policy(SHIPPED).silence == Silence(threshold=7.1, own_words=0.5, nearest=5.5)


def test_the_shipped_policy_says_what_its_threshold_was_measured_to_trade() -> None:
    policy = load_answers_policy(SHIPPED)
    assert len(policy.measured) >= 3
    for measured in policy.measured:
        assert str(policy.silence.threshold) in measured.right
        assert list(measured.right.values()) == sorted(measured.right.values())
        assert list(measured.false.values()) == sorted(measured.false.values())


def test_without_measurements_a_policy_counts_as_well(tmp_path: Path) -> None:
    (tmp_path / "answers.toml").write_text(WHOLE)
    assert load_answers_policy(tmp_path / "answers.toml").measured == ()
