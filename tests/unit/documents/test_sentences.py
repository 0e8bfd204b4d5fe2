from __future__ import annotations

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


def test_only_the_span_asked_for_is_read():
    text = "One. Two. Three."
    assert sentence_spans(text, 5, 9) == [(5, 9)]
