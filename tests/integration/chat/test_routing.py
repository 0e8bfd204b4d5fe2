"""Which model may see the passages of an answer is decided for each answer, kept with it, and never got round."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from sqlalchemy import select, update

from appliance.audit.events import EventName
from appliance.chat.models import MessageStatus
from appliance.errors import Denied, InvalidInput
from appliance.identity.models import Role
from appliance.inference.models import Health
from appliance.storage import tables

LEAVE = "Every employee has thirty days of paid leave in a calendar year. Unused days expire on 31 March."
QUESTION = "How many days of paid leave does an employee have?"


@pytest.fixture
def alice(office):
    person = office.person("alice")
    office.shelf = office.collection(person)
    office.document(office.shelf, "handbook.txt", LEAVE)
    return person


def forbid(office, classification: str) -> None:
    policy = office.router.policy
    rules = policy.rules | {classification: replace(policy.rules[classification], runtimes=())}
    office.router.policy = replace(policy, rules=rules)


def answered(office, person, conversation_id: str, sink, text: str = QUESTION):
    answer_id = office.chat.ask(person, conversation_id, text)[1].id
    office.chat.answer(answer_id, sink, "w1")
    return office.chat.message(person, answer_id)


def recorded(office, event: EventName) -> dict:
    """The facts of the newest such event."""
    events = tables.audit_events
    newest = select(events.c.body).where(events.c.event == event).order_by(events.c.seq.desc()).limit(1)
    with office.database.read() as connection:
        return json.loads(connection.execute(newest).scalar_one())["facts"]


def test_where_no_model_may_answer_there_is_a_refusal_and_no_prompt(office, alice, sink):
    forbid(office, "internal")
    answer = answered(office, alice, office.chat.create_conversation(alice).id, sink)
    assert (answer.status, answer.reason_code) == (MessageStatus.FAILED, "inference.no_permitted_runtime")
    assert answer.reason == "No model on this box is allowed to answer questions about internal documents."
    assert (answer.text, answer.citations, office.runtime.requests) == ("", (), [])
    assert answer.selection.refusal == "inference.no_permitted_runtime"
    assert recorded(office, EventName.ANSWER_FAILED)["routing_reason"] == "inference.no_permitted_runtime"


def test_the_decision_stands_with_the_answer_and_in_the_log(office, alice, sink):
    office.runtime.replies = ["An employee has thirty days of paid leave."]
    answer = answered(office, alice, office.chat.create_conversation(alice).id, sink)
    assert answer.status is MessageStatus.DONE
    assert (answer.selection.model, answer.selection.runtime, answer.selection.reason) == ("stub@1", "stub", "preferred")
    facts = recorded(office, EventName.ANSWER_STARTED)
    assert (facts["classification"], facts["runtime"]) == ("internal", "stub")
    assert (facts["device"], facts["device_used"]) == ("cpu", "cpu")


def test_where_it_truly_computed_stands_with_the_answer_and_in_the_log(office, alice, sink, monkeypatch):
    office.runtime.replies = ["An employee has thirty days of paid leave."]
    monkeypatch.setattr(type(office.runtime), "health", lambda _: Health(ready=True, device="cpu+gpu"))
    answer = answered(office, alice, office.chat.create_conversation(alice).id, sink)
    assert (answer.selection.device, answer.selection.used) == ("cpu", "cpu+gpu")
    assert recorded(office, EventName.ANSWER_RELEASED)["device_used"] == "cpu+gpu"


def test_what_a_conversation_drew_on_before_counts_after_its_collection_was_lowered(office, alice, sink):
    office.runtime.replies = ["An employee has thirty days of paid leave.", "Unused days expire on 31 March."]
    with office.database.write() as connection:
        connection.execute(
            update(tables.collections).where(tables.collections.c.id == office.shelf).values(classification="secret")
        )
    conversation = office.chat.create_conversation(alice).id
    assert answered(office, alice, conversation, sink).selection.classification == "secret"
    with office.database.write() as connection:
        connection.execute(
            update(tables.collections).where(tables.collections.c.id == office.shelf).values(classification="public")
        )
    forbid(office, "secret")
    again = answered(office, alice, conversation, sink, "When do unused days expire?")
    assert (again.status, again.selection.classification) == (MessageStatus.FAILED, "secret")
    other = answered(office, alice, office.chat.create_conversation(alice).id, sink, "When do unused days expire?")
    assert (other.status, other.selection.classification) == (MessageStatus.DONE, "public")


def let_choose(office) -> None:
    office.router.policy = replace(office.router.policy, choosers=frozenset({Role.EMPLOYEE}))


def test_whoever_may_not_choose_learns_nothing_of_which_models_there_are(office, alice):
    for chosen in ("stub", "stub@1", "no such model"):
        with pytest.raises(Denied) as refused:
            office.chat.create_conversation(alice, chosen_model=chosen)
        assert refused.value.stable_code == "inference.choice_denied"
    with pytest.raises(Denied):
        office.chat.model_choices(alice)
    assert office.chat.conversations(alice) == []


def test_what_is_not_there_cannot_be_chosen(office, alice):
    let_choose(office)
    with pytest.raises(InvalidInput) as refused:
        office.chat.create_conversation(alice, chosen_model="no such model")
    assert refused.value.stable_code == "inference.no_model"


def test_a_chosen_model_answers_and_the_choice_is_on_record(office, alice, sink):
    let_choose(office)
    assert office.chat.model_choices(alice) == {"stub@1": "active"}
    conversation = office.chat.create_conversation(alice, chosen_model="stub@1")
    assert recorded(office, EventName.CONVERSATION_CREATED) == {"chosen_model": "stub@1"}
    assert office.chat.conversation(alice, conversation.id)[0].chosen_model == "stub@1"
    assert answered(office, alice, conversation.id, sink).selection.reason == "by_hand"


def test_a_choice_outlives_no_right_to_it_and_no_rule(office, alice, sink):
    let_choose(office)
    conversation = office.chat.create_conversation(alice, chosen_model="stub@1").id
    forbid(office, "internal")
    assert answered(office, alice, conversation, sink).reason_code == "inference.no_permitted_runtime"
    office.router.policy = replace(office.router.policy, choosers=frozenset())
    assert answered(office, alice, conversation, sink).reason_code == "inference.choice_denied"
    assert office.runtime.requests == []
