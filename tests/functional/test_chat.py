"""Conversations over HTTP: whose they are, what they leave behind, what is refused."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from appliance.audit.events import EventName
from appliance.storage.tables import audit_events

pytestmark = pytest.mark.anyio


@pytest.fixture
def events(appliance):
    def read() -> list[str]:
        with appliance.database.read() as connection:
            return list(connection.execute(select(audit_events.c.event).order_by(audit_events.c.seq)).scalars())

    return read


async def test_another_persons_conversation_is_not_there(signed_in, appliance, alice, bob, events):
    conversation = appliance.chat.create_conversation(alice)
    _, answer = appliance.chat.ask(alice, conversation.id, "Where is the spare key?")
    async with signed_in("bob") as client:
        for method, path in (
            ("GET", f"/api/conversations/{conversation.id}"),
            ("DELETE", f"/api/conversations/{conversation.id}"),
            ("POST", f"/api/conversations/{conversation.id}/messages"),
            ("GET", f"/api/messages/{answer.id}/events"),
            ("POST", f"/api/messages/{answer.id}/stop"),
            ("GET", "/api/conversations/0000"),
            ("GET", "/api/messages/0000/events"),
        ):
            response = await client.request(method, path, json={"text": "x"} if path.endswith("messages") else None)
            assert response.status_code == 404, f"{method} {path}"
            assert response.json()["error"]["code"] == "not_found"
        assert (await client.get("/api/conversations")).json() == []
    assert appliance.chat.conversation(alice, conversation.id)[1]
    assert events().count(EventName.ACCESS_DENIED) == 7


@pytest.mark.parametrize("path", ["/chat", "/api/conversations"])
async def test_an_officer_holds_no_conversations(signed_in, officer, path):
    async with signed_in("officer") as client:
        assert (await client.get(path)).status_code == 403


async def test_a_question_is_stored_before_a_worker_hears_of_it(signed_in, appliance, alice, queue, events):
    async with signed_in("alice") as client:
        conversation = (await client.post("/api/conversations", json={})).json()
        response = await client.post(f"/api/conversations/{conversation['id']}/messages", json={"text": " Where is the key? "})
        assert response.status_code == 201
        asked = response.json()
        assert asked["question"]["text"] == "Where is the key?"
        assert (asked["answer"]["role"], asked["answer"]["status"], asked["answer"]["text"]) == ("assistant", "PENDING", "")
        assert queue.answers == [asked["answer"]["id"]] == appliance.chat.pending_ids()
        listed = (await client.get("/api/conversations")).json()
        assert [item["title"] for item in listed] == ["Where is the key?"]
        read = (await client.get(f"/api/conversations/{conversation['id']}")).json()
        assert [message["id"] for message in read["messages"]] == [asked["question"]["id"], asked["answer"]["id"]]
    wanted = [
        EventName.CONVERSATION_CREATED,
        EventName.QUESTION_ASKED,
        EventName.CONVERSATION_LISTED,
        EventName.CONVERSATION_READ,
    ]
    assert [event for event in events() if event.startswith(("conversation", "question"))] == wanted


async def test_an_empty_question_is_refused_in_words(signed_in, appliance, alice, queue):
    conversation = appliance.chat.create_conversation(alice)
    async with signed_in("alice") as client:
        response = await client.post(f"/api/conversations/{conversation.id}/messages", json={"text": "  "})
    assert response.status_code == 400
    assert response.json()["error"]["message"] == "Please type a question."
    assert queue.answers == []


async def test_an_answer_nobody_works_on_stops_at_once(signed_in, appliance, alice):
    conversation = appliance.chat.create_conversation(alice)
    _, answer = appliance.chat.ask(alice, conversation.id, "Where is the spare key?")
    async with signed_in("alice") as client:
        assert (await client.post(f"/api/messages/{answer.id}/stop")).status_code == 202
        messages = (await client.get(f"/api/conversations/{conversation.id}")).json()["messages"]
    assert messages[-1]["status"] == "STOPPED"


async def test_a_deleted_conversation_is_gone(signed_in, appliance, alice, events):
    conversation = appliance.chat.create_conversation(alice)
    async with signed_in("alice") as client:
        assert (await client.delete(f"/api/conversations/{conversation.id}")).status_code == 204
        assert (await client.get(f"/api/conversations/{conversation.id}")).status_code == 404
    assert EventName.CONVERSATION_DELETED in events()


async def test_a_conversation_cannot_be_narrowed_to_a_collection_out_of_reach(signed_in, appliance, alice, bob):
    his = next(item.id for item in appliance.collections.readable(bob) if item.owner_id == bob.id)
    async with signed_in("alice") as client:
        assert (await client.post("/api/conversations", json={"collection_id": his})).status_code == 404
