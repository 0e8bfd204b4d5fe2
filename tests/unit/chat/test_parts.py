"""Which questions ask several things, and what is searched for then."""

from __future__ import annotations

import pytest

from appliance.chat.finding import best_answerability, find
from appliance.chat.parts import question_parts
from appliance.chat.policy import Silence
from appliance.retrieval.models import Hit

SILENCE = Silence(threshold=7.1, nearest=5.5, own_words=0.5)


@pytest.mark.parametrize(
    "question",
    [
        "How many days of leave do we have?",
        "What is said about bread and butter?",
        "When and where is the meeting?",
        "Who may swim, and when?",
        "Is the office open and is it warm?",
        "What is it? Who? When? Where is the green book?",
        "? ?",
        "",
    ],
)
def test_one_thing_stays_one_question(question):
    (part,) = question_parts(question)
    assert (part.asked, part.query) == (question, question)


@pytest.mark.parametrize(
    ("question", "queries"),
    [
        ("How much does a dog cost, and when is payday?", ["How much does a dog cost", "when is payday?"]),
        ("What does a dog cost? When is payday?", ["What does a dog cost", "When is payday"]),
        ("What does a dog cost and how do I pay?", ["What does a dog cost", "how do I pay"]),
        ("May I bring a dog, and must I pay for a bicycle?", ["May I bring a dog", "must I pay for a bicycle"]),
        ("Was kostet ein Hund und wann kommt der Lohn?", ["Was kostet ein Hund", "wann kommt der Lohn"]),
        ("¿Cuánto cuesta un perro y cuándo pagan?", ["¿Cuánto cuesta un perro", "cuándo pagan"]),
    ],
)
def test_several_things_are_searched_for_one_by_one(question, queries):
    assert [part.query.rstrip("?") for part in question_parts(question)] == [query.rstrip("?") for query in queries]


def test_a_part_that_points_back_carries_what_it_points_to():
    first, second = question_parts("Where is the company card kept? And what is its limit?")
    assert (first.query, second.asked) == ("Where is the company card kept", "And what is its limit")
    assert {"company", "card"} <= set(second.query.split())


def passages(*texts: str, first: int) -> list[Hit]:
    return [
        Hit(first + at, "d", "rules.md", "c", 1, 0, len(text), "", text, 30, 20.0, 0.5, 10.0, 5.0)
        for at, text in enumerate(texts)
    ]


def found(told: dict[str, list[Hit]], question: str = "What does a dog cost, and when is payday?", query: str = ""):
    asked: list[str] = []

    def search(words: str) -> list[Hit]:
        asked.append(words)
        return told.get(words, [])

    return find(question, query or question, search, SILENCE), asked


DOG, PAYDAY = "What does a dog cost", "when is payday"
DOGS = passages("A dog costs 3 euros.", "A dog is a pet.", first=1)


def test_nothing_found_is_nothing_answered_and_the_whole_is_tried_last():
    nothing, asked = found({})
    assert (nothing.queries, nothing.hits) == ((), [])
    assert asked == [DOG, PAYDAY, "What does a dog cost, and when is payday?"]


def test_passages_of_the_parts_take_turns_and_stand_once():
    days = [DOGS[1], *passages("Payday is the 25th.", first=9)]
    both, _ = found({DOG: DOGS, PAYDAY: [days[1], days[0]]})
    assert both.queries == (DOG, PAYDAY)
    assert [hit.chunk_id for hit in both.hits] == [1, 9, 2]


def test_a_part_without_an_answer_brings_no_passages():
    one, _ = found({DOG: DOGS, PAYDAY: passages("Nothing of the kind.", first=9)[:0]})
    assert (one.queries, one.hits, one.missing) == ((DOG,), DOGS, (PAYDAY,))


def test_where_all_is_answered_or_nothing_is_no_part_is_missing():
    assert found({DOG: DOGS, PAYDAY: passages("Payday is the 25th.", first=9)})[0].missing == ()
    assert found({})[0].missing == ()
    whole = "What does a dog cost, and when is payday?"
    assert found({whole: passages("What a dog costs is told on payday.", first=5)})[0].missing == ()


def test_a_question_that_leans_on_another_is_not_taken_apart():
    query = "What does a dog cost, and when is payday? ferry"
    _, asked = found({}, query=query)
    assert asked == [query]


def test_the_score_is_above_the_threshold_where_a_part_is_answered():
    told = {DOG: DOGS}
    asked = f"{DOG}, and {PAYDAY}?"
    assert best_answerability(asked, lambda query: told.get(query, [])) >= SILENCE.threshold
    assert found(told, asked)[0].queries
    assert best_answerability(asked, lambda _: []) < SILENCE.threshold
