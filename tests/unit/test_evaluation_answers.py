from __future__ import annotations

from dataclasses import replace

from appliance.evaluation.answers import Graded, summary

RIGHT = Graded(
    possible=True, failed=False, abstained=False, contains=True, exact=False, f1=0.5, citations=2, supported=1, sentences=3, cited_sentences=2,
    tokens=100, seconds=1.0,
)  # fmt: skip
SILENT = replace(
    RIGHT, abstained=True, contains=False, f1=0.0, citations=0, supported=0, sentences=0, cited_sentences=0, tokens=0
)
INVENTED = replace(RIGHT, possible=False, supported=0, f1=0.0)


def test_no_answers_are_no_division_by_zero() -> None:
    assert summary([])["citation_precision"] == summary([])["abstention_recall"] == 0.0


def test_a_silence_costs_recall_and_no_precision_of_citations() -> None:
    found = summary([RIGHT, SILENT])
    assert found["citation_precision"] == 0.5
    assert found["citation_recall"] == 0.5
    assert found["false_abstention"] == 0.5
    assert found["abstention_precision"] == 0.0


def test_a_quoted_sentence_counts_as_right_where_it_holds_the_answer() -> None:
    found = summary([RIGHT, SILENT, replace(INVENTED, contains=True)])
    assert (found["contains_answer"], found["exact_match"]) == (0.5, 0.0)


def test_silence_is_right_where_nothing_could_be_known() -> None:
    found = summary([RIGHT, replace(SILENT, possible=False), INVENTED, INVENTED, INVENTED])
    assert found["abstention_recall"] == 0.25
    assert found["abstention_precision"] == 1.0
    assert found["false_abstention"] == 0.0
    assert found["citation_precision"] == 0.5, "what cannot be answered has no gold to be held against"


def test_sentences_without_a_mark_are_counted() -> None:
    assert summary([RIGHT, SILENT])["grounded_sentences"] == round(2 / 3, 4)
    assert summary([RIGHT, SILENT])["tokens_per_answer"] == 50
