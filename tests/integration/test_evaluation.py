"""`evaluate` from a file to figures, with the real models, chunking, index and search."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from appliance.evaluation.evaluate import evaluate
from appliance.settings import Settings

LEAVE = "Every employee has thirty days of leave. Leave is requested two weeks before it begins, from the head of the department."
KEYS = "The night porter keeps the keys of building EN-1234/5 in a grey cabinet."
INVOICES = "Invoices above five thousand euros are signed by two people."


def question(text: str, context: str = "", answer: str = "") -> dict:
    answers = [{"text": answer, "answer_start": context.index(answer)}] if answer else []
    return {"question": text, "id": text, "answers": answers, "is_impossible": not answer}


@pytest.mark.models
def test_a_set_of_several_documents_paragraphs_and_impossible_questions(settings: Settings, models_dir: Path, tmp_path: Path):
    (settings.data_dir / "models").symlink_to(models_dir)
    content = {
        "data": [
            {
                "title": "Leave and keys",
                "language": "en",
                "paragraphs": [
                    {
                        "context": LEAVE,
                        "qas": [question("How many days of leave are there?", LEAVE, "thirty days"), question("Who is king?")],
                    },
                    {"context": KEYS, "qas": [question("Who keeps the keys of EN-1234/5?", KEYS, "The night porter")]},
                ],
            },
            {
                "language": "en",
                "paragraphs": [
                    {"context": INVOICES, "qas": [question("Who signs large invoices?", INVOICES, "two people")]},
                    {"context": ""},
                ],
            },
        ]
    }
    path = tmp_path / "set.json"
    path.write_text(json.dumps(content))
    report = evaluate(path, settings=settings)
    assert (report["questions"], report["answerable"], report["chunks"], report["documents"]) == (4, 3, 3, 2)
    for ranking in ("vector", "words", "fused"):
        figures = report["retrieval"][ranking]
        assert set(figures) == {"hit_at_1", "hit_at_5", "hit_at_10", "mrr", "coverage_at_tokens"}
        assert figures["hit_at_5"] == 1.0
        assert figures["coverage_at_tokens"] == {"500": 1.0, "1000": 1.0, "2000": 1.0}
    assert report["search_ms"]["p95"] >= report["search_ms"]["p50"] > 0
    assert "answers" not in report
    assert report["languages"]["en"]["fused"] == report["retrieval"]["fused"]
    again = evaluate(path, settings=settings)
    assert again["retrieval"] == report["retrieval"]
    withheld = evaluate(path, settings=settings, withheld_share=0.3, seed=1)
    assert (withheld["questions"], withheld["answerable"], withheld["chunks"]) == (4, 2, 2)
    # nothing of it stays in the box's own data directory
    assert sorted(item.name for item in settings.data_dir.iterdir()) == ["models"]
