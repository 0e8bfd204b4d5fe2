"""Terms of passages and of questions meet, whatever the script."""

from __future__ import annotations

import pytest

from appliance.retrieval.terms import LONGEST_TERM, index_terms, question_terms


@pytest.mark.parametrize("text", ["", "   ", "?!... -- ''", '"', "\x00", "\ud800", "()*:^{}", "\U0001f600", "the of and"])
def test_what_holds_no_word_gives_no_term(text):
    assert question_terms(text) == []
    assert index_terms(text) == []


@pytest.mark.parametrize(
    ("question", "passage"),
    [
        ("vaccinations", "the vaccination of"),
        ("EN-1234/5", "see norm EN-1234/5, annex"),
        ("en 1234", "see norm EN-1234/5."),
        ("3.5", "version 3.5"),
        ("Ubermassig", "Übermäßig"),
        ("café", "CAFE"),
        ("STRASSE", "straße"),
        ("休暇", "有給休暇の申請"),
        ("假", "請假規定"),
        ("휴가", "연차휴가를"),
        ("политика", "о политике отпусков"),
        ("й", "й"),
        ("كتاب", "كِتَابٌ"),
        ("العربية", "العربيّة"),
        ("διακοπές", "διακοπεσ"),
        ("छुट्टी", "छुट्टी का नियम"),
        ("ลาพักร้อน", "การลาพักร้อนประจำปี"),
        ("WHO", "the WHO says"),
        ("ＡＢＣ", "abc"),
    ],
)
def test_question_and_passage_meet(question, passage):
    asked = question_terms(question)
    assert asked
    assert set(asked) & set(index_terms(passage))


def test_a_code_is_kept_whole():
    assert "en-1234/5" in question_terms("What does EN-1234/5 say?")


def test_small_words_are_left_out_unless_in_capitals():
    assert question_terms("who may do it") == ["mai"]
    assert "who" in question_terms("the WHO")


def test_terms_hold_nothing_the_index_would_read_as_syntax():
    for term in index_terms('a"b c*d ^e {f} g:h NEAR(i, j) k\'l m""n 1"2 x_1'):
        assert not set(term) & set("\"*^{}() '")


def test_a_question_has_few_terms_of_bounded_length():
    assert len(question_terms(" ".join(f"word{n}" for n in range(10_000)))) == 48
    assert len(question_terms("a" * 100_000)[0]) == LONGEST_TERM
