from __future__ import annotations

from pathlib import Path

import pytest

from appliance.chat.policy import Silence, load_silence
from appliance.errors import SetupError

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
    ],
)
def test_what_is_not_understood_is_refused_as_a_whole(tmp_path: Path, text: str) -> None:
    (tmp_path / "answers.toml").write_text(text)
    with pytest.raises(SetupError, match="no question is answered") as refused:
        load_silence(tmp_path / "answers.toml")
    assert refused.value.stable_code == "setup.answers"


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError):
        load_silence(tmp_path / "answers.toml")


def test_the_shipped_policy_is_read() -> None:
    assert load_silence(SHIPPED) == Silence(threshold=7.1, own_words=0.5, nearest=5.5)
