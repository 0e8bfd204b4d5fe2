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


@pytest.mark.models
def test_a_box_of_one_short_document_answers_from_it_and_from_nothing_else(
    settings: Settings, models_dir: Path, tmp_path: Path
) -> None:
    (settings.data_dir / "models").symlink_to(models_dir)
    text = "The canteen serves lunch from 11:30 to 13:45. A meal costs 4.60 euros. Guests pay 7 euros."
    known = [("When does the canteen serve lunch?", "11:30"), ("What does a meal cost for guests?", "7 euros")]
    unknown = ["Who repairs the bicycles?", "How many days of leave do I have?", "What is the password of the guest network?"]
    asked = [{"question": q, "id": q, "answers": [{"text": a, "answer_start": text.index(a)}]} for q, a in known]
    asked += [{"question": q, "id": q, "answers": [], "is_impossible": True} for q in unknown]
    path = tmp_path / "set.json"
    path.write_text(json.dumps({"data": [{"title": "Canteen", "paragraphs": [{"context": text, "qas": asked}]}]}))
    silence = evaluate(path, settings=settings)["silence"]
    assert (silence["false"], silence["right"]) == (0.0, 1.0)
