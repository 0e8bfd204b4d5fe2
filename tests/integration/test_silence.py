"""Whether the appliance speaks where its documents do, and is silent where they are, by the search as it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from appliance.evaluation.evaluate import evaluate
from appliance.settings import Settings

QUESTIONS = Path(__file__).parents[2] / "bench" / "languages.json"


@pytest.mark.models
@pytest.mark.parametrize("language", ["de", "pt"])
def test_an_embedder_that_knows_little_of_a_language_is_no_reason_to_be_silent_in_it(
    settings: Settings, models_dir: Path, tmp_path: Path, language: str
) -> None:
    (settings.data_dir / "models").symlink_to(models_dir)
    content = json.loads(QUESTIONS.read_text("utf-8"))
    content["data"] = [article for article in content["data"] if article["language"] == language]
    path = tmp_path / "set.json"
    path.write_text(json.dumps(content), "utf-8")
    silence = evaluate(path, settings=settings, withheld_share=0.4, seed=1)["silence"]
    assert silence["false"] <= 0.25
    assert silence["right"] >= 0.3
