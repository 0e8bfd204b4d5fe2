from __future__ import annotations

import time

import pytest

from appliance.documents.sentences import sentence_spans

CASES = {
    "English": ["Dr. Weir left at 3 p.m. yesterday.", "Nobody saw it!", "Was it true?", "He said “no.”", "It cost 3.50 euros."],
    "initials": ["J. S. Bach wrote it, cf. Fig. 3 there.", "We agree."],
    "German": ["Am 3. Mai kam die Fähre, vgl. Abb. 2 oben.", "Sie fuhr um 9 Uhr ab."],
    "French": ["Où est la gare ?", "Elle est à 2,5 km d'ici.", "« Merci. »"],
    "Spanish": ["¿Dónde está?", "¡Aquí!", "El Sr. Director llegó tarde."],
    "Russian": ["Паром отходит в девять.", "Билеты продаёт касса."],
    "Greek": ["Το πλοίο φεύγει στις εννέα.", "Μην αργήσεις!"],
    "Arabic": ["أين المحطة؟", "إنها بعيدة."],
    "Hindi": ["घाट बंद है।", "कल खुलेगा।"],
    "unknown": ["A version like v1.2.3 or a file.txt stays whole.", "Really..."],
}


@pytest.mark.parametrize("language", CASES)
def test_sentences_end_where_a_reader_would_end_them(language):
    text = " ".join(CASES[language])
    assert [text[start:end] for start, end in sentence_spans(text)] == CASES[language]


def test_full_width_marks_need_no_space():
    text = "船は九時に出ます。「切符はありますか？」はい、あります！次は十時です"
    assert [text[start:end] for start, end in sentence_spans(text)] == [
        "船は九時に出ます。",
        "「切符はありますか？」",
        "はい、あります！",
        "次は十時です",
    ]


def test_an_empty_line_ends_a_sentence_and_a_single_line_end_does_not():
    text = "A heading\n\nA sentence over\ntwo lines goes on."
    assert [text[start:end] for start, end in sentence_spans(text)] == ["A heading", "A sentence over\ntwo lines goes on."]


def test_list_entries_are_sentences():
    text = "Bring:\n- a coat\n- a torch\n1. first\n2) second"
    assert [text[start:end] for start, end in sentence_spans(text)] == [
        "Bring:",
        "- a coat",
        "- a torch",
        "1. first",
        "2) second",
    ]


def test_numbers_before_an_entry_belong_to_it():
    text = "1. How does one build it? 45. Who pays? IV. Ending of it.\n3.2.1. Scope\n3.2.2. Other"
    assert [text[start:end] for start, end in sentence_spans(text)] == [
        "1. How does one build it?",
        "45. Who pays?",
        "IV. Ending of it.",
        "3.2.1. Scope",
        "3.2.2. Other",
    ]


def test_web_addresses_stay_whole():
    text = "See https://lists.example.org/a?b!C/msg00011.html there. And https://lists.example.org/msg00011.\n\nhtml too."
    assert [text[start:end] for start, end in sentence_spans(text)] == [text[: text.index(" And")], text[text.index("And") :]]


def test_a_paragraph_after_a_web_address_is_not_part_of_it():
    paragraphs = ["See https://example.org/tools/", "tools are many.", "(See https://example.org/a.html).", "many tools"]
    text = "\n\n".join(paragraphs)
    assert [text[start:end] for start, end in sentence_spans(text)] == paragraphs


def test_each_line_of_a_table_of_contents_is_one_piece():
    lines = ["7 How does one pronounce Debian. . . . . . 11", "8 Which of\nthem . . . . 12", "9 Who.......13", "10 Why … … … iv"]
    text = "\n".join(["Contents", *lines, "It is old.", "Yes...."])
    assert [text[start:end] for start, end in sentence_spans(text)] == text.split("\n")[:2] + lines[1:] + [
        "It is old.",
        "Yes....",
    ]


def test_long_rows_of_dots_take_no_long_time():
    text = "a" + ". . ... " * 20_000 + "\n." * 20_000
    started = time.monotonic()
    sentence_spans(text)
    assert time.monotonic() - started < 2


def test_only_the_span_asked_for_is_read():
    text = "One. Two. Three."
    assert sentence_spans(text, 5, 9) == [(5, 9)]


def test_a_mark_at_the_end_of_a_cell_does_not_divide_the_row():
    assert len(sentence_spans("Ask first.\tAlways\nGo.\tNever")) == 1
    assert len(sentence_spans("Ask first. Always\nGo. Never")) == 3
