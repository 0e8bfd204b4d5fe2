"""The fixed questions: they are sound, and scoring them tells right from wrong."""

from __future__ import annotations

import re

import pytest

from appliance.inference.quality import MARGIN, SHORT, Question, is_right, load_questions, share_answered

QUESTION = Question("The badge is blue. It has 12 holes.", "Which colour?", (("blue",), ("12", "twelve")))


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("It is blue and has twelve holes.", True),
        ("BLUE, 12", True),
        ("blue", False),
        ("12", False),
        ("", False),
        ("red, 112", False),
    ],
)
def test_everything_expected_must_stand_in_the_answer(answer: str, right: bool):
    assert is_right(answer, QUESTION) is right


def test_an_expected_word_counts_at_the_beginning_of_a_word_only():
    assert not is_right("In the afternoon.", Question("", "", (("noon",),)))


def test_the_questions_are_many_different_and_answered_by_their_passages():
    questions = load_questions()
    assert len(questions) >= 36
    assert len({question.asks for question in questions}) == len(questions)
    assert len(load_questions(SHORT)) == SHORT
    assert 1 / len(questions) < MARGIN < 1 / SHORT
    for question in questions:
        for choice in question.expects:
            assert any(spelling == spelling.casefold() for spelling in choice)
            assert any(re.search(re.escape(spelling), question.passage, re.IGNORECASE) for spelling in choice)


class Parrot:
    """Says the passage, or nothing."""

    def __init__(self, silent: int) -> None:
        self.silent = silent
        self.asked = 0

    def complete(self, request):
        from appliance.inference.models import Delta, FinishReason

        self.asked += 1
        yield Delta("" if self.asked <= self.silent else request.messages[-1].text)
        yield Delta("", FinishReason.STOP)


def test_the_share_counts_each_question_once():
    questions = load_questions(SHORT)
    assert share_answered(Parrot(0), questions) == 1
    assert share_answered(Parrot(3), questions) == 1 - 3 / SHORT
