"""A question set is refused with a sentence that names the place, before anything is indexed."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from appliance.errors import InvalidInput
from appliance.evaluation.dataset import Article, Dataset, Question, Span, load_dataset, withhold

SEVERAL = Dataset(
    tuple(Article(f"a{at}", (f"first of {at}", f"second of {at}"), "en") for at in range(5)),
    tuple(Question("?", at, number, (Span(0, 5, "first"),)) for at in range(5) for number in range(2)),
)


def written(tmp_path: Path, content: object) -> Path:
    path = tmp_path / "set.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def with_question(question: object) -> dict:
    return {"data": [{"paragraphs": [{"context": "The porter keeps the keys.", "qas": [question]}]}]}


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("", "not JSON"),
        ("\x00\xff", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "the file has no list named data"),
        ({"data": 1}, "the file has no list named data"),
        ({"data": []}, "no questions"),
        ({"data": [1]}, "data[0]"),
        ({"data": [{"paragraphs": [{"qas": []}]}]}, "data[0].paragraphs[0] has no text named context"),
        ({"data": [{"paragraphs": [{"context": "x"}]}]}, "no questions"),
        (with_question({}), "qas[0] has no text named question"),
        (with_question("why"), "qas[0] has no text named question"),
        (with_question({"question": "Who?", "answers": {}}), "no list named answers"),
        (with_question({"question": "Who?", "answers": [{"text": "The porter"}]}), "answer_start is not a whole number"),
        (with_question({"question": "Who?", "answers": [{"text": " ", "answer_start": 0}]}), "text is empty"),
        (with_question({"question": "Who?", "answers": [{"text": "the clerk", "answer_start": 0}]}), "does not stand in the context"),
    ],
)  # fmt: skip
def test_a_bad_file_is_refused(tmp_path, content, part):
    with pytest.raises(InvalidInput, match=".") as refused:
        load_dataset(written(tmp_path, content))
    assert part in refused.value.sentence


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match="cannot be read"):
        load_dataset(tmp_path / "nowhere.json")


def test_impossible_and_unanswered_questions_have_no_span(tmp_path):
    for question in (
        {"question": "Who?", "is_impossible": True, "answers": [{"text": "made up", "answer_start": 0}]},
        {"question": "Who?", "answers": []},
        {"question": "Who?"},
    ):
        assert load_dataset(written(tmp_path, with_question(question))).questions[0].answers == ()


@pytest.mark.parametrize(
    ("text", "start"), [("the keys", 17), (" the keys ", 17), ("the keys", 15), ("the keys", 900), ("the keys", -3)]
)
def test_an_answer_a_little_off_is_found(tmp_path, text, start):
    loaded = load_dataset(
        written(tmp_path, with_question({"question": "What?", "answers": [{"text": text, "answer_start": start}]}))
    )
    assert loaded.questions[0].answers == (Span(17, 25, "the keys"),)


@pytest.mark.parametrize("share", [-0.1, 1.0, float("nan")])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(InvalidInput):
        withhold(SEVERAL, share, 1)


def test_withheld_paragraphs_leave_their_questions_without_answers():
    left = withhold(SEVERAL, 0.3, 7)
    lost = [at for at, question in enumerate(left.questions) if not question.answers]
    assert len(lost) == 3
    for at, (before, after) in enumerate(zip(SEVERAL.questions, left.questions, strict=True)):
        kept = left.articles[after.article].paragraphs[after.paragraph]
        assert kept == ("" if at in lost else SEVERAL.articles[before.article].paragraphs[before.paragraph])
    assert withhold(SEVERAL, 0.3, 7) == left
    assert any(withhold(SEVERAL, 0.3, seed) != left for seed in range(5))
    assert withhold(SEVERAL, 0.0, 7) == SEVERAL


def test_the_set_in_other_languages_is_whole():
    loaded = load_dataset(Path(__file__).parents[2] / "bench" / "languages.json")
    counts = Counter(loaded.articles[question.article].language for question in loaded.questions if question.answers)
    assert min(counts[language] for language in ("de", "es", "pt")) >= 20
