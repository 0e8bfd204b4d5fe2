"""When the appliance speaks, when it stays silent, and which sentences it quotes: measured on a handbook made up for this."""

from __future__ import annotations

import pytest

from appliance.chat.answerability import answerable
from appliance.chat.policy import Silence
from appliance.chat.quotes import best_quotes
from appliance.chat.words import content_terms
from appliance.retrieval.models import Hit

SILENCE = Silence(threshold=7.1, own_words=0.5, nearest=5.5)
SECTIONS = {
    "Membership": "A reader's card costs 24 euros a year. Pupils up to 18 years pay nothing. A lost card is replaced for 3 euros.",
    "Lending": "Books are lent for four weeks, films for one week. Up to 30 items may be borrowed at the same time.",
    "Group rooms": "They hold eight people each. They can be reserved for two hours a day. Food is not allowed there.",
    "Öffnungszeiten": "Die Bücherei ist dienstags bis freitags von 10 bis 19 Uhr geöffnet. Montags bleibt sie geschlossen.",
    "Aparcamiento": "El aparcamiento cuesta dos euros por hora. Los empleados aparcan gratis en la zona norte.",
}


def search(question: str) -> list[Hit]:
    wanted = set(content_terms(question))
    hits = []
    for number, (heading, text) in enumerate(SECTIONS.items()):
        share = len(wanted & set(content_terms(f"{heading} {text}"))) / max(1, len(wanted))
        # a search gives about 12 to a passage on another subject, 20 to one that answers, which then leads by a few
        score, tokens = 12 + 8 * share, len(text.split())
        hits.append(Hit(number, "d", "rules.md", "c", 1, 0, len(text), heading, text, tokens, score, 0.5, share, 6 * share))
    return sorted(hits, key=lambda hit: -hit.score)


@pytest.mark.parametrize(
    "question",
    [
        "Who is the director of the library?",
        "What is the wireless password?",
        "Do you sell old maps?",
        "How tall is the Eiffel tower?",
        "Can I borrow a laptop overnight?",
        "Wer leitet die Stadtverwaltung?",
        "¿Cuántas camas tiene el hospital?",
        "Is there a gym?",
    ],
)
def test_silence_where_the_documents_are_silent(question):
    assert not answerable(question, question, search(question), SILENCE)


@pytest.mark.parametrize(
    ("question", "holds"),
    [
        ("What does a reader's card cost?", "24 euros"),
        ("What happens when a card is lost?", "3 euros"),
        ("How many items may I borrow at the same time?", "30 items"),
        ("How many people do the group rooms hold?", "eight people"),
        ("Wann ist die Bücherei geöffnet?", "10 bis 19"),
        ("¿Cuánto cuesta el aparcamiento?", "dos euros"),
    ],
)
def test_an_answer_is_tried_where_they_speak_and_the_right_sentence_comes_first(question, holds):
    hits = search(question)
    assert answerable(question, question, hits, SILENCE)
    (best, *_) = best_quotes(question, hits[:3], 2)
    assert holds in best.text
    assert hits[best.passage].text[best.start : best.end] == best.text


def test_words_borrowed_from_earlier_questions_do_not_hide_that_the_own_ones_are_missing():
    query = "Is there a gym? reader card costs euros year"
    assert answerable("What does the card cost?", query, search(query), SILENCE)
    assert not answerable("Is there a gym?", query, search(query), SILENCE)


def test_a_sentence_that_only_repeats_the_question_is_not_quoted():
    hit = Hit(1, "d", "n", "c", 1, 0, 0, "Guest network", "Guest network name. The guest network is called Heron.", 9, 1, 0.5, 1)
    assert [quote.text for quote in best_quotes("What is the name of the guest network?", [hit], 1)] == [
        "The guest network is called Heron."
    ]


def test_meaning_decides_between_sentences_that_words_cannot_tell_apart():
    hit = Hit(1, "d", "n", "c", 1, 0, 0, "", "The loan is extended twice. The loan is registered twice.", 9, 1, 0.5, 1)
    prefer = {"The loan is extended twice.": 0.1, "The loan is registered twice.": 0.9}
    quotes = best_quotes("Can I renew a loan?", [hit], 1, lambda _, sentences: [prefer[s] for s in sentences])
    assert quotes[0].text == "The loan is registered twice."


def test_a_quote_leaves_the_bullet_of_its_list_behind():
    text = "Transport\n- Private car: 0.34 euros a kilometre.\n- Bicycle: 0.12 euros a kilometre."
    hit = Hit(1, "d", "n", "c", 1, 0, 0, "", text, 9, 1, 0.5, 1)
    (quote, *_) = best_quotes("How much is paid for a private car?", [hit], 1)
    assert quote.text == text[quote.start : quote.end] == "Private car: 0.34 euros a kilometre."
