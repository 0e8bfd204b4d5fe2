"""Whose question is answered next: fair among people, one at a time per row, second tries alone."""

from __future__ import annotations

import threading
import time

import pytest
from sqlalchemy import update

from appliance.chat import claims
from appliance.chat.models import MessageStatus
from appliance.chat.turns import Company, waiting_in_turn
from appliance.storage import tables

QUESTION = "How many days of paid leave does an employee have?"


@pytest.fixture
def alice(office):
    return office.person("alice")


def ask(office, person):
    conversation = office.chat.create_conversation(person)
    return office.chat.ask(person, conversation.id, QUESTION)[1].id


def claim(office, message_id):
    with office.database.write() as connection:
        return claims.claim_answer(connection, message_id, "w")


def order(office):
    with office.database.read() as connection:
        return [waiting.message_id for waiting in waiting_in_turn(connection)]


def test_an_empty_house_has_nobody_waiting(office, alice, sink):
    office.chat.answer_next(lambda _: sink, "w")
    assert order(office) == [] and sink.seen == []
    assert office.chat.ahead_of("no such message") is None


def test_one_persons_many_questions_do_not_keep_another_waiting(office, alice):
    busy, quiet = alice, office.person("quiet")
    many = [ask(office, busy) for _ in range(4)]
    one = ask(office, quiet)
    assert order(office) == [many[0], one, *many[1:]]
    claim(office, many[0])
    assert order(office) == [one, *many[1:]]
    assert office.chat.ahead_of(many[0]) is None
    assert [office.chat.ahead_of(row) for row in (one, many[1], many[3])] == [0, 1, 3]


def test_a_waiting_line_of_many_is_in_the_order_that_one_after_the_other_would_choose(office):
    people = [office.person(f"person{number}") for number in range(4)]
    conversations = [office.chat.create_conversation(person).id for person in people]
    whose = [number * number % 7 % 4 for number in range(200)]
    columns = {"role": "assistant", "status": MessageStatus.PENDING, "text": "", "attempts": 0, "lease_until_ms": 0}
    with office.database.write() as connection:
        connection.execute(
            tables.messages.insert(),
            [
                columns
                | {"id": f"{number:03}", "conversation_id": conversations[person], "ordinal": number, "created_ms": number}
                for number, person in enumerate(whose)
            ],
        )
    left, held, expected = list(range(200)), dict.fromkeys(whose, 0), []
    while left:
        first = min(left, key=lambda number: (held[whose[number]], number))
        left.remove(first)
        held[whose[first]] += 1
        expected.append(f"{first:03}")
    assert order(office) == expected


def test_a_nudge_answers_whoever_is_next_and_each_question_once(office, alice, sink):
    office.collection(alice)
    asked = [ask(office, alice) for _ in range(6)]
    told: list[str] = []
    lock = threading.Lock()

    def sink_of(message_id):
        with lock:
            told.append(message_id)
        return sink

    threads = [threading.Thread(target=office.chat.answer_next, args=(sink_of, "w")) for _ in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert order(office) == []
    ends = [item for item in sink.seen if item[0] == "finished"]
    assert sorted(ends) == sorted(("finished", message_id) for message_id in asked)
    statuses = {office.chat.message(alice, message_id).status for message_id in asked}
    assert statuses == {MessageStatus.DONE}


def test_a_question_whose_worker_died_is_tried_once_more_and_alone(office, alice, sink):
    tried, fresh = ask(office, alice), ask(office, alice)
    claim(office, tried)
    with office.database.write() as connection:
        connection.execute(update(tables.messages).where(tables.messages.c.id == tried).values(lease_until_ms=1))
    with office.database.read() as connection:
        assert {waiting.message_id: waiting.tried for waiting in waiting_in_turn(connection)} == {tried: True, fresh: False}


def test_who_must_be_alone_waits_for_the_others_and_keeps_new_ones_out():
    company, seen = Company(), []
    inside, go = threading.Event(), threading.Event()

    def together(name, hold=False):
        with company.entered(alone=False):
            seen.append(name)
            if hold:
                inside.set()
                go.wait(10)

    def alone():
        with company.entered(alone=True):
            seen.append("alone")
            time.sleep(0.05)
            seen.append("alone ends")

    first = threading.Thread(target=together, args=("first", True))
    first.start()
    inside.wait(10)
    second = threading.Thread(target=alone)
    second.start()
    while not company._wanting_alone:
        time.sleep(0.01)
    third = threading.Thread(target=together, args=("third",))
    third.start()
    time.sleep(0.05)
    assert seen == ["first"]
    go.set()
    for thread in (first, second, third):
        thread.join(10)
    assert seen == ["first", "alone", "alone ends", "third"]
