"""The highest classification of whatever goes into a prompt, and the decision kept with the answer."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import insert, select, update

from appliance.bootstrap import Appliance
from appliance.chat.claims import Ending, claim_answer, finish
from appliance.chat.classification import answer_classification
from appliance.chat.models import MessageStatus
from appliance.chat.store import insert_conversation, insert_exchange, load_message
from appliance.inference.hardware.models import Hardware
from appliance.inference.selection.decide import select as decide
from appliance.inference.selection.models import Offer, SelectionRequest
from appliance.inference.selection.records import SelectionRecord, read_record, record_of, write_record
from appliance.retrieval.models import Hit
from appliance.storage.tables import collections, documents, messages

BOX = Hardware(memory_total_mb=8_000, memory_available_mb=8_000)
OFFERS = [Offer("llamacpp", "smol@1", "smol", memory_mb=300, context_tokens=4_096), Offer("stranger", "x@1", "x", memory_mb=300)]


@pytest.fixture
def shelves(appliance: Appliance, administrator) -> dict[str, str]:
    """One collection for each classification, by it."""
    made = {}
    for name in appliance.routing.classifications:
        made[name] = appliance.collections.create(administrator, name)
        appliance.collections.update(administrator, made[name], classification=name)
    return made


def hit(collection_id: str, document_id: str = "d") -> Hit:
    return Hit(1, document_id, "d", collection_id, 1, 0, 1, "", "x", 1, 1.0, 1.0, 1.0)


def answered(appliance: Appliance, person, passages=(), record=None):
    """A conversation with one answer made from `passages`; its id and the answer's."""
    with appliance.database.write() as connection:
        conversation = insert_conversation(connection, person.id, None)
        _, answer_id = insert_exchange(connection, conversation, "When?")
        claim = claim_answer(connection, answer_id, "worker")
        assert finish(connection, claim, Ending(MessageStatus.DONE, text="Now.", passages=tuple(passages), selection=record))
    return conversation.id, answer_id


def stored_document(appliance: Appliance, collection_id: str) -> str:
    with appliance.database.write() as connection:
        connection.execute(
            insert(documents).values(
                id="d1",
                collection_id=collection_id,
                name="n",
                media_type="t",
                size_bytes=1,
                sha256="0",
                blob_name="b",
                uploaded_by="u",
                uploaded_ms=0,
                status="READY",
            )
        )
    return "d1"


def test_the_highest_of_the_passages_decides(appliance: Appliance, shelves) -> None:
    with appliance.database.read() as connection:
        for names, highest in ((("public",), "public"), (("public", "secret", "internal"), "secret"), ((), "internal")):
            ids = [shelves[name] for name in names]
            found = answer_classification(connection, appliance.routing, "none", [hit(number) for number in ids])
            assert found == highest


def test_a_classification_that_the_policy_no_longer_knows_lets_nobody_answer(appliance: Appliance, shelves) -> None:
    with appliance.database.write() as connection:
        connection.execute(update(collections).where(collections.c.id == shelves["public"]).values(classification="royal"))
        found = answer_classification(connection, appliance.routing, "none", [hit(number) for number in shelves.values()])
    assert found == "royal"
    assert decide(BOX, OFFERS, appliance.routing, SelectionRequest(found)).winner is None


def test_what_earlier_answers_drew_on_counts_as_it_is_now(appliance: Appliance, shelves, alice, administrator) -> None:
    document = stored_document(appliance, shelves["internal"])
    conversation, _ = answered(appliance, alice, [hit(shelves["internal"], document)])
    asked = [hit(shelves["public"])]
    with appliance.database.read() as connection:
        assert answer_classification(connection, appliance.routing, conversation, asked) == "internal"
        assert answer_classification(connection, appliance.routing, "another", asked) == "public"
    appliance.collections.update(administrator, shelves["internal"], classification="secret")
    with appliance.database.read() as connection:
        assert answer_classification(connection, appliance.routing, conversation, asked) == "secret"


def test_what_an_earlier_answer_was_answered_as_outlives_its_documents(appliance: Appliance, shelves, alice) -> None:
    conversation, _ = answered(appliance, alice, record=SelectionRecord("confidential", model="smol@1"))
    with appliance.database.read() as connection:
        assert answer_classification(connection, appliance.routing, conversation, [hit(shelves["public"])]) == "confidential"


def test_the_decision_is_kept_with_the_answer_in_ids_only(appliance: Appliance, alice) -> None:
    selection = decide(BOX, OFFERS, appliance.routing, SelectionRequest("internal"))
    _, answer_id = answered(appliance, alice, record=record_of(selection))
    with appliance.database.read() as connection:
        text = connection.execute(select(messages.c.selection).where(messages.c.id == answer_id)).scalar_one()
        kept = load_message(connection, answer_id, ())
    assert json.loads(text) == {
        "version": 1,
        "classification": "internal",
        "model": "smol@1",
        "runtime": "llamacpp",
        "device": "cpu",
        "library": "cpu",
        "passed_over": {},
        "used": "",
        "destination": "",
        "reason": "preferred",
        "refusal": "",
        "lost": {"x@1 stranger": "runtime_forbidden"},
        "policy": appliance.routing.sha256[:16],
        "instead_of": {},
    }
    assert kept.selection == record_of(selection) == read_record(text)


def test_a_refusal_is_kept_too_and_nothing_where_nothing_was_decided(appliance: Appliance, alice) -> None:
    refused = record_of(decide(BOX, OFFERS[1:], appliance.routing, SelectionRequest("secret")))
    assert (refused.model, refused.refusal) == ("", "inference.no_permitted_runtime")
    assert read_record(write_record(refused)) == refused
    _, answer_id = answered(appliance, alice)
    with appliance.database.read() as connection:
        assert load_message(connection, answer_id, ()).selection is None
    assert read_record('{"version":2}') is None
