"""Conversations that are removed by their age: what goes, what stays, and what a wrong clock does."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import text, update

from appliance.administration.retention import Retention
from appliance.audit.events import EventName
from appliance.bootstrap import Appliance
from appliance.chat import expiring as old_conversations
from appliance.chat.expiring import ConversationExpiry
from appliance.documents.service import DocumentService
from appliance.errors import Conflict, NotFound
from appliance.identity.models import SYSTEM, Principal
from appliance.storage import tables
from appliance.storage.clock import DAY_MS
from tests.growing_old import Time, cared_for, events, finish, left, put, said

pytestmark = pytest.mark.usefixtures("without_pauses")


def test_nothing_goes_before_somebody_says_so_and_then_by_the_last_message(
    appliance: Appliance, retention: Retention, administrator: Principal, alice: Principal, time: Time
) -> None:
    conversation = said(appliance, alice, turns=2)
    time.passes(4_000)
    assert cared_for(appliance) == (0, 0)
    time.passes(-4_000)
    retention.change(administrator, 30, going=0)
    time.passes(29.99)
    assert cared_for(appliance) == (0, 0)
    time.passes(0.02)
    told: list[str] = []
    assert cared_for(appliance, told) == (1, 0)
    assert len(told) == 4
    assert left(appliance, "conversations", "messages") == [0, 0]
    with pytest.raises(NotFound):
        appliance.chat.conversation(alice, conversation)
    with pytest.raises(NotFound):
        appliance.chat.ask(alice, conversation, "And now?")
    (record,) = events(appliance, EventName.CONVERSATION_DELETED)
    assert (record.actor_pseudonym, record.facts) == (SYSTEM.pseudonym, {"why": "retention", "days": 30})
    assert record.resources == (("conversation", conversation), ("person", alice.pseudonym))


def test_what_is_too_old_already_stays_for_a_day_and_a_slip_can_be_taken_back(
    appliance: Appliance, retention: Retention, administrator: Principal, alice: Principal, time: Time
) -> None:
    said(appliance, alice)
    time.passes(10)
    assert retention.change(administrator, 1, going=1).rule.days_before is None
    time.passes(0.99)
    assert cared_for(appliance) == (0, 0)
    assert retention.change(administrator, 0, going=0).going == 0
    time.passes(5)
    assert cared_for(appliance) == (0, 0)
    retention.change(administrator, 1, going=1)
    time.passes(1)
    assert cared_for(appliance) == (1, 0)


def test_an_answer_in_the_works_and_a_question_asked_meanwhile_keep_their_conversation(
    appliance: Appliance, retention: Retention, administrator: Principal, alice: Principal, time: Time, monkeypatch
) -> None:
    waiting, asked, old = said(appliance, alice), said(appliance, alice), said(appliance, alice)
    pending = appliance.chat.ask(alice, waiting, "And tomorrow?")[1]
    retention.change(administrator, 30, going=0)
    time.passes(31)
    due, looks = old_conversations.due, []

    def asked_after_the_first_look(connection, *arguments):
        looks.append(due(connection, *arguments))
        if len(looks) == 1:
            answer = appliance.chat.ask(alice, asked, "And on Sunday?")[1]
            finish(appliance, answer.id)
            with appliance.database.write() as writing:  # at the time of this test
                moved = update(tables.conversations).where(tables.conversations.c.id == asked)
                writing.execute(moved.values(updated_ms=time.wall_ms))
        return looks[-1]

    monkeypatch.setattr(old_conversations, "due", asked_after_the_first_look)
    assert cared_for(appliance) == (1, 0)
    assert {item.id for item in appliance.chat.conversations(alice)} == {waiting, asked}
    assert old not in {waiting, asked}
    finish(appliance, pending.id)
    time.passes(0.05)
    assert cared_for(appliance) == (1, 0)
    assert {item.id for item in appliance.chat.conversations(alice)} == {asked}


def test_who_asks_while_it_goes_is_answered_or_told_that_it_is_gone(
    appliance: Appliance, retention: Retention, administrator: Principal, alice: Principal, time: Time, monkeypatch
) -> None:
    monkeypatch.setattr(old_conversations, "AT_ONCE", 1)
    talks = [said(appliance, alice) for _ in range(10)]
    retention.change(administrator, 1, going=0)
    time.passes(2)
    removing = threading.Thread(target=cared_for, args=(appliance,))
    removing.start()
    asked, refused = set(), set()
    for conversation in reversed(talks):  # the oldest go first
        try:
            appliance.chat.ask(alice, conversation, "And now?")
            asked.add(conversation)
        except NotFound:
            refused.add(conversation)
    removing.join()
    cared_for(appliance)
    assert {item.id for item in appliance.chat.conversations(alice)} == asked
    assert {record.resources[0].id for record in events(appliance, EventName.CONVERSATION_DELETED)} == refused
    assert asked | refused == set(talks)


def test_transactions_are_short_and_a_long_conversation_goes_whole(
    appliance: Appliance, retention: Retention, administrator: Principal, alice: Principal, time: Time, monkeypatch
) -> None:
    monkeypatch.setattr(old_conversations, "MESSAGES", 6)
    monkeypatch.setattr(old_conversations, "AT_ONCE", 4)
    for turns in (1, 1, 1, 5, 1, 0, 0, 0, 0, 0):
        said(appliance, alice, turns=turns)
    retention.change(administrator, 1, going=0)
    time.passes(2)
    batches: list[int] = []
    assert ConversationExpiry(appliance.database, appliance.audit).run(lambda ids: batches.append(len(ids))) == 10
    assert batches == [6, 10, 2]
    assert left(appliance, "conversations", "messages") == [0, 0]
    assert len(events(appliance, EventName.CONVERSATION_DELETED)) == 10


def test_a_clock_that_jumps_ahead_does_not_empty_the_box(
    appliance: Appliance,
    service: DocumentService,
    retention: Retention,
    administrator: Principal,
    alice: Principal,
    shared: str,
    time: Time,
) -> None:
    said(appliance, alice)
    put(service, alice, shared, "rules.txt", "The ferry is at sea.")
    retention.change(administrator, 30, going=0)
    retention.change(administrator, 30, going=0, collection_id=shared)
    assert time.is_set(20_000) == 1
    assert retention.read(administrator).doubtful
    for _ in range(23):
        time.passes(1 / 24)
        assert cared_for(appliance) == (0, 0)
    assert time.is_set(-20_000) == 0
    time.passes(3)
    assert cared_for(appliance) == (0, 0)
    time.is_set(20_000)
    retention.change(administrator, 40, going=0)  # nobody hurries it by looking
    assert cared_for(appliance) == (0, 0)
    for _ in range(25):
        time.passes(1 / 24)
    assert not retention.read(administrator).doubtful
    assert cared_for(appliance) == (1, 1)


def test_what_is_agreed_to_while_the_clock_is_in_doubt_is_what_goes_when_it_is_believed_and_no_sooner_than_a_day_later(
    appliance: Appliance, retention: Retention, administrator: Principal, alice: Principal, time: Time
) -> None:
    """The machine was off for a hundred days, which the clock says and nobody has seen."""
    said(appliance, alice)
    time.is_set(100)
    time.passes(0.99)
    assert retention.outlook(administrator, 30).going == 1
    with pytest.raises(Conflict, match="1 conversation would go"):
        retention.change(administrator, 30, going=0)
    retention.change(administrator, 30, going=1)
    assert not time.passes(0.1), "the clock is believed"
    assert retention.read(administrator).going == 1
    assert cared_for(appliance) == (0, 0)
    time.passes(0.8)
    assert cared_for(appliance) == (0, 0)
    time.passes(0.11)
    assert cared_for(appliance) == (1, 0)


def test_a_number_that_waits_is_changed_as_what_holds_while_the_clock_is_in_doubt(
    appliance: Appliance, retention: Retention, administrator: Principal, alice: Principal, time: Time
) -> None:
    said(appliance, alice)
    time.passes(10)
    retention.change(administrator, 5, going=1)
    time.is_set(9)
    found = retention.change(administrator, 7, going=1).rule
    assert (found.days, found.days_before, found.effective_ms) == (7, None, time.wall_ms + DAY_MS)
    assert cared_for(appliance) == (0, 0)


def test_without_a_look_at_the_clock_nothing_goes(
    appliance: Appliance, retention: Retention, administrator: Principal, alice: Principal, time: Time
) -> None:
    said(appliance, alice)
    retention.change(administrator, 1, going=0)
    time.passes(9)
    with appliance.database.write() as connection:
        connection.execute(text("DELETE FROM retention_clock"))
    assert cared_for(appliance) == (0, 0)


def test_what_is_dated_before_the_log_of_the_box_begins_stays(
    appliance: Appliance,
    service: DocumentService,
    retention: Retention,
    administrator: Principal,
    alice: Principal,
    shared: str,
    time: Time,
) -> None:
    """Written while the clock had forgotten the year."""
    conversation = said(appliance, alice)
    document = put(service, alice, shared, "rules.txt", "The ferry is at sea.")
    with appliance.database.write() as connection:
        connection.execute(update(tables.conversations).values(updated_ms=946_684_800_000))
        connection.execute(update(tables.documents).values(uploaded_ms=946_684_800_000))
    retention.change(administrator, 1, going=0)
    retention.change(administrator, 1, going=0, collection_id=shared)
    time.passes(9)
    assert cared_for(appliance) == (0, 0)
    assert appliance.chat.conversation(alice, conversation)
    assert service.get(alice, document)


def test_a_grace_that_began_while_the_clock_stood_ahead_ends(
    appliance: Appliance, retention: Retention, administrator: Principal, alice: Principal, time: Time
) -> None:
    said(appliance, alice)
    time.is_set(500)
    for _ in range(25):
        time.passes(1 / 24)
    retention.change(administrator, 5, going=1)
    time.is_set(-500)
    time.passes(1)
    time.passes(5)
    assert cared_for(appliance) == (1, 0)
