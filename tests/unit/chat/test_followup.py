"""Questions that lean on the ones before them, in several languages."""

from __future__ import annotations

import pytest

from appliance.chat.followup import standalone_query
from appliance.chat.words import content_terms


@pytest.mark.parametrize(
    "question",
    [
        "How many days of parental leave does a part-time employee get?",
        "Which forms must a contractor hand in before welding?",
        "Wie lange dauert die Probezeit in der Werkstatt?",
        "¿Cuánto cuesta una plaza de aparcamiento para visitantes?",
        "What approval does a journey of more than 2,000 euros need?",
    ],
)
def test_a_question_that_stands_alone_is_left_as_it_is(question):
    assert standalone_query(question, ["When does the canteen open on Fridays?"]) == question


@pytest.mark.parametrize(
    ("earlier", "question", "carried"),
    [
        (["When is the library open on weekdays?"], "And on Saturdays?", ["library", "open"]),
        (["How long can I borrow a film?"], "Can I renew it?", ["borrow", "film"]),
        (["What does the guest network cost?"], "Why?", ["guest", "network"]),
        (["Who repairs the lift?"], "What is their telephone number?", ["repairs", "lift"]),
        (["Wann verfällt der Resturlaub?"], "Und bei Krankheit?", ["verfällt", "Resturlaub"]),
        (["¿Cuál es el horario de visitas?"], "¿Y los domingos?", ["horario", "visitas"]),
        (["Quel est le prix du repas à la cantine ?"], "Et pour les visiteurs ?", ["prix", "repas"]),
        (["How long is parental leave?", "And for fathers?"], "And for adoption?", ["fathers", "parental", "leave"]),
    ],
)
def test_a_question_that_leans_on_others_carries_their_words(earlier, question, carried):
    query = standalone_query(question, earlier)
    assert query.startswith(question)
    assert set(carried) <= set(query[len(question) :].split())


def test_the_first_question_of_a_conversation_has_nothing_to_lean_on():
    assert standalone_query("And then?", []) == "And then?"


def test_what_is_carried_is_short_and_names_nothing_twice():
    long = " ".join(f"subject{number}" for number in range(60))
    query = standalone_query("And the first?", [long, long])
    terms = content_terms(query)
    assert len(terms) == len(set(terms)) <= 11
