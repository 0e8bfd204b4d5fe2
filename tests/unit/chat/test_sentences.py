"""Where sentences end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.chat.sentences import repeats_itself, split_sentences


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "Ask Dr. Who about No. 500. He says no. She, e.g. today, yes.",
            ["Ask Dr. Who about No. 500.", "He says no.", "She, e.g. today, yes."],
        ),
        ("It opens at 8.30 and costs 3.50 euros. Why? Because!", ["It opens at 8.30 and costs 3.50 euros.", "Why?", "Because!"]),
        ("Der 3. Mai ist frei. Am 4. Mai nicht.", ["Der 3. Mai ist frei.", "Am 4. Mai nicht."]),
        ("Rules:\n- no smoking\n- no dogs", ["Rules:", "- no smoking", "- no dogs"]),
        (
            "The canteen of the house serves lunch for\n4.60 euros on every working day and in\nNovember soup.",
            ["The canteen of the house serves lunch for\n4.60 euros on every working day and in\nNovember soup."],
        ),
        ("休みです。仕事です。", ["休みです。", "仕事です。"]),
        ("He said “stop.” [2] She went on.", ["He said “stop.” [2]", "She went on."]),
        (
            "1. How does one build it? Read on.\n45. Who pays? IV. Ending of it.",
            ["1. How does one build it?", "Read on.", "45. Who pays?", "IV. Ending of it."],
        ),
        ("3.2.1. Scope of this\n3.2.2. Other", ["3.2.1. Scope of this", "3.2.2. Other"]),
        ("It needs version 3.2.1 since 28. Oktober. Yes.", ["It needs version 3.2.1 since 28. Oktober.", "Yes."]),
        (
            "See https://lists.example.org/a?b!C/msg00011.html there. And\nhttps://lists.example.org/msg00011.\n\nhtml too.",
            ["See https://lists.example.org/a?b!C/msg00011.html there.", "And\nhttps://lists.example.org/msg00011.\n\nhtml too."],
        ),
        (
            "Contents\n7 How does one pronounce Debian. . . . . . 11\n8 Which of\nthem . . . . 12\n9 Who.......13\nIt is old. Yes.",
            [
                "Contents",
                "7 How does one pronounce Debian. . . . . . 11",
                "8 Which of\nthem . . . . 12",
                "9 Who.......13",
                "It is old.",
                "Yes.",
            ],
        ),
        ("", []),
    ],
)
def test_sentences_end_where_a_reader_would_end_them(text, expected):
    assert [sentence.text for sentence in split_sentences(text)] == expected


@given(st.text(alphabet="aB .!?\n-1[]\u3002é…", max_size=120))
def test_sentences_are_places_in_the_text_in_order_and_lose_nothing_but_white_space(text):
    end = 0
    for sentence in split_sentences(text):
        assert sentence.start >= end and text[sentence.start : sentence.end] == sentence.text
        assert not text[end : sentence.start].strip()
        end = sentence.end
    assert not text[end:].strip()


def test_a_text_that_says_a_finished_sentence_again_is_noticed():
    assert repeats_itself("The answer is two. The answer is two.")
    assert not repeats_itself("The answer is two. The answer is tw")
    assert not repeats_itself("The answer is two. The answer is three.")
