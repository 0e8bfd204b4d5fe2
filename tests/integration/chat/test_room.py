"""How many questions wait at most, whoever asks and however many ask at the same moment."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace

import pytest
from sqlalchemy import update
from structlog.testing import capture_logs

from appliance.chat.claims import claim_answer
from appliance.chat.room import OF_ONE_PERSON
from appliance.chat.sink import SilentSink
from appliance.errors import ApplianceError, Throttled, Unavailable
from appliance.storage.tables import messages

QUESTION = "How many days of paid leave does an employee have?"


@pytest.fixture
def people(office):
    return [office.person(f"person{number}") for number in range(8)]


def limit(office, questions: int) -> None:
    office.chat._settings = replace(office.settings, questions_limit=questions)


def ask(office, person) -> str:
    return office.chat.ask(person, office.chat.create_conversation(person).id, QUESTION)[1].id


def test_where_the_line_is_full_a_question_is_refused_with_how_many_are_ahead_and_nothing_is_kept(office, people):
    limit(office, 4)
    for person in people[:4]:
        ask(office, person)
    conversation = office.chat.create_conversation(people[4])
    with capture_logs() as logs, pytest.raises(Unavailable, match="4 questions are ahead of yours") as refused:
        office.chat.ask(people[4], conversation.id, QUESTION)
    assert (refused.value.stable_code, refused.value.data) == ("chat.busy", {"ahead": 4, "retry_after_s": 30})
    assert office.chat.conversation(people[4], conversation.id)[1] == []
    assert [line for line in logs if line["event"] == "chat.busy"] == [
        {"event": "chat.busy", "ahead": 4, "own": 0, "log_level": "warning"}
    ]
    assert office.events().count("question.asked") == 4


def test_the_end_of_the_line_is_for_those_who_have_nothing_in_it(office, people):
    limit(office, 8)
    greedy, quiet, *_ = people
    for _ in range(6):
        ask(office, greedy)
    with pytest.raises(Unavailable, match="6 questions"):
        ask(office, greedy)
    ask(office, quiet)
    with pytest.raises(Unavailable, match="7 questions"):
        ask(office, quiet)
    ask(office, people[2])
    with pytest.raises(Unavailable, match="8 questions"):
        ask(office, people[3])


def test_an_answer_that_is_over_makes_room_and_one_in_the_works_does_not(office, people):
    limit(office, 1)
    first = ask(office, people[0])
    with office.database.write() as connection:
        assert claim_answer(connection, first, "w")
    with pytest.raises(Unavailable):
        ask(office, people[1])
    office.chat.stop(people[0], first)
    with office.database.write() as connection:
        connection.execute(update(messages).values(lease_until_ms=0))  # whoever had it is gone
    office.chat.answer(first, SilentSink(), "w2")
    ask(office, people[1])


def test_ones_own_limit_comes_first_and_what_is_answered_here_joins_no_line(office, people):
    limit(office, 100)
    for _ in range(OF_ONE_PERSON):
        ask(office, people[0])
    with pytest.raises(Throttled) as refused:
        ask(office, people[0])
    assert refused.value.stable_code == "chat.too_many_waiting"
    limit(office, 1)
    with pytest.raises(Unavailable):
        ask(office, people[1])
    assert office.chat.answer_now(people[1], QUESTION).status.finished


def test_many_who_ask_at_the_same_moment_are_let_in_up_to_the_limit(office, people):
    limit(office, 5)
    outcomes: Counter[str] = Counter()
    start = threading.Barrier(len(people))

    def run(person) -> None:
        conversation = office.chat.create_conversation(person)
        start.wait(30)
        try:
            office.chat.ask(person, conversation.id, QUESTION)
        except ApplianceError as error:
            outcomes[error.stable_code] += 1
        else:
            outcomes["accepted"] += 1

    threads = [threading.Thread(target=run, args=(person,)) for person in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert outcomes == {"accepted": 5, "chat.busy": 3}
    assert len(office.chat.pending_ids()) == 5
