"""Conversations over HTTP: whose they are, what they leave behind, what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import insert, select

from appliance.audit.events import EventName
from appliance.storage.tables import audit_events, conversations, messages
from web.controllers.chat import PAGE_CONVERSATIONS, PAGE_MESSAGES

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
        assert (await client.get("/api/conversations")).json() == {"conversations": [], "more": False}
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
        listed = (await client.get("/api/conversations")).json()["conversations"]
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


async def test_where_too_many_questions_wait_one_is_told_how_many_and_when_to_come_back(signed_in, appliance, alice, bob, queue):
    appliance.chat._settings = replace(appliance.settings, questions_limit=1)
    appliance.chat.ask(bob, appliance.chat.create_conversation(bob).id, "Where is the spare key?")
    async with signed_in("alice") as client:
        conversation = (await client.post("/api/conversations", json={})).json()
        response = await client.post(f"/api/conversations/{conversation['id']}/messages", json={"text": "Where is the key?"})
    assert (response.status_code, response.headers["Retry-After"]) == (503, "30")
    error = response.json()["error"]
    assert (error["code"], error["ahead"]) == ("chat.busy", 1)
    assert queue.answers == []


async def test_an_answer_nobody_works_on_stops_at_once(signed_in, appliance, alice):
    conversation = appliance.chat.create_conversation(alice)
    _, answer = appliance.chat.ask(alice, conversation.id, "Where is the spare key?")
    async with signed_in("alice") as client:
        assert (await client.post(f"/api/messages/{answer.id}/stop")).status_code == 202
        read = (await client.get(f"/api/conversations/{conversation.id}")).json()["messages"]
    assert read[-1]["status"] == "STOPPED"


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


async def test_conversations_come_in_pages_and_only_ones_own(signed_in, appliance, alice, bob):
    with appliance.database.write() as connection:
        for at in range(PAGE_CONVERSATIONS + 3):
            person = bob if at == 1 else alice
            row = {"id": f"{at:03}", "principal_id": person.id, "title": "", "created_ms": 1, "updated_ms": 1_000 + at // 10}
            connection.execute(insert(conversations).values(row))
    async with signed_in("alice") as client:
        page = (await client.get("/api/conversations")).json()
        assert (len(page["conversations"]), page["more"]) == (PAGE_CONVERSATIONS, True)
        last = page["conversations"][-1]
        after = {"before_ms": last["updated_ms"], "before_id": last["id"]}
        rest = (await client.get("/api/conversations", params=after)).json()
        ids = [item["id"] for item in page["conversations"] + rest["conversations"]]
        assert (ids, rest["more"]) == ([f"{at:03}" for at in range(PAGE_CONVERSATIONS + 2, -1, -1) if at != 1], False)
        for wrong in (-1, 2**70, "x"):
            assert (await client.get("/api/conversations", params={"before_ms": wrong})).status_code == 400


async def test_a_long_conversation_comes_from_its_end(signed_in, appliance, alice, bob):
    conversation = appliance.chat.create_conversation(alice)
    rows = [
        {"id": f"m{at}", "conversation_id": conversation.id, "ordinal": at, "role": "user" if at % 2 else "assistant"}
        for at in range(1, 2 * PAGE_MESSAGES + 3)
    ]
    with appliance.database.write() as connection:
        connection.execute(insert(messages), [row | {"status": "DONE", "created_ms": 1} for row in rows])
    path = f"/api/conversations/{conversation.id}"
    async with signed_in("bob") as client:
        assert (await client.get(path, params={"before": 3})).status_code == 404
    async with signed_in("alice") as client:
        seen, before = [], {}
        while True:
            page = (await client.get(path, params=before)).json()
            assert page["messages"][0]["role"] == "user"
            seen = [message["ordinal"] for message in page["messages"]] + seen
            if not page["earlier"]:
                break
            before = {"before": seen[0]}
        assert seen == list(range(1, 2 * PAGE_MESSAGES + 3))
        assert (await client.get(path, params={"before": 2**70})).status_code == 400
