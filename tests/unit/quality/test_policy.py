from __future__ import annotations

from pathlib import Path

import pytest

from appliance.errors import SetupError
from appliance.quality.models import Measure
from appliance.quality.policy import Threshold, load_drift

SHIPPED = Path(__file__).parents[3] / "policies" / "drift.toml"


@pytest.mark.parametrize(
    "text",
    [
        "[abstentions",
        "[abstentions]\nleast = 20",
        "[abstentions]\nrises = 0.1",
        "[abstentions]\nleast = 0\nrises = 0.1",
        "[abstentions]\nleast = true\nrises = 0.1",
        "[abstentions]\nleast = 20\nrises = 0",
        "[abstentions]\nleast = 20\nrises = 15",
        "[abstentions]\nleast = 20\nrises = nan",
        '[abstentions]\nleast = 20\nrises = "0.1"',
        "[abstentions]\nleast = 20\nrises = 0.1\nsinks = 0.1",
        "[first_word]\nleast = 20\nfalls = 1.5",
        "[moods]\nleast = 20\nrises = 0.1",
        "abstentions = 1",
    ],
)
def test_what_is_not_understood_is_refused_as_a_whole(tmp_path: Path, text: str) -> None:
    (tmp_path / "drift.toml").write_text(text)
    with pytest.raises(SetupError, match="nobody would hear") as refused:
        load_drift(tmp_path / "drift.toml")
    assert refused.value.stable_code == "setup.drift"


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError):
        load_drift(tmp_path / "drift.toml")


def test_the_shipped_policy_watches_everything() -> None:
    shipped = load_drift(SHIPPED)
    assert set(shipped) == set(Measure)
    assert shipped[Measure.ABSTENTIONS] == Threshold(least=20, rises=0.15, falls=0.25)
