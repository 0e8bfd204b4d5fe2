"""Thumbs and comments over HTTP: whose answers, what administrators see of it, what the log says."""

from __future__ import annotations

import json
import secrets

import pytest
from sqlalchemy import func, insert, select

from appliance.chat import claims
from appliance.chat.claims import Ending
from appliance.chat.models import MessageStatus
from appliance.identity.models import Role
from appliance.storage import tables
from tests.conftest import PASSWORD

pytestmark = pytest.mark.anyio
FULL = {"helpful": False, "kind": "citation", "comment": "It is page 4.", "shared": True}
QUESTION, ANSWER = "Where is the spare key?", "In the drawer of the porter [1]."


@pytest.fixture
def exchange(appliance, alice) -> tuple[str, str, str]:
    """A conversation of alice's, her question and its finished answer, which rests on a document of a shared collection."""
    conversation = appliance.chat.create_conversation(alice)
    question, answer = appliance.chat.ask(alice, conversation.id, QUESTION)
    with appliance.database.write() as connection:
        claim = claims.claim_answer(connection, answer.id, "test")
        claims.finish(connection, claim, Ending(MessageStatus.DONE, text=ANSWER))
    return conversation.id, question.id, answer.id


@pytest.fixture
def resting_on(appliance, exchange):
    """Makes the answer rest on a document of this collection, or on one that was deleted."""

    def rest(collection_id: str | None) -> None:
        document = secrets.token_hex(8) if collection_id else None
        with appliance.database.write() as connection:
            if document:
                connection.execute(
                    insert(tables.documents).values(
                        id=document, collection_id=collection_id, name="keys.txt", media_type="text/plain", size_bytes=1,
                        sha256=document, blob_name="b", uploaded_by="x", uploaded_ms=1, status="READY",
                    )
                )  # fmt: skip
            number = connection.execute(select(func.count()).select_from(tables.message_passages)).scalar_one() + 1
            connection.execute(
                insert(tables.message_passages).values(
                    message_id=exchange[2], number=number, document_id=document, page=1, start=0, end=1, score=1.0
                )
            )

    return rest


def body_of(appliance, event: str) -> dict:
    with appliance.database.read() as connection:
        found = select(tables.audit_events.c.body).where(tables.audit_events.c.event == event)
        return json.loads(connection.execute(found.order_by(tables.audit_events.c.seq.desc()).limit(1)).scalar_one())


async def test_another_persons_answer_is_like_one_that_is_not_there(signed_in, exchange, bob, officer, administrator) -> None:
    for name in ("bob", "officer", "administrator"):
        async with signed_in(name) as client:
            for message in (exchange[2], "0000"):
                given = await client.put(f"/api/messages/{message}/feedback", json=FULL)
                taken = await client.delete(f"/api/messages/{message}/feedback")
                for response in (given, taken):
                    assert (response.status_code, response.json()["error"]["code"]) == (404, "not_found"), (name, message)


async def test_a_judgement_is_kept_changed_and_taken_back(signed_in, appliance, exchange) -> None:
    conversation, _, answer = exchange
    place = f"/api/messages/{answer}/feedback"

    async def kept(client) -> dict | None:
        return (await client.get(f"/api/conversations/{conversation}")).json()["messages"][1]["feedback"]

    async with signed_in("alice") as client:
        assert await kept(client) is None
        assert (await client.put(place, json={"helpful": True})).status_code == 200
        assert await kept(client) == {"helpful": True, "kind": "", "comment": "", "shared": False}
        assert (await client.put(place, json=FULL | {"comment": "  It is\u200b page 4. "})).json() == FULL
        assert await kept(client) == FULL
        with appliance.database.read() as connection:
            assert connection.execute(select(func.count()).select_from(tables.feedback)).scalar() == 1
        assert (await client.delete(place)).status_code == 204
        assert await kept(client) is None
        assert (await client.delete(place)).status_code == 204


async def test_what_is_no_judgement_is_refused_in_words(signed_in, appliance, alice, exchange) -> None:
    conversation, question, answer = exchange
    async with signed_in("alice") as client:
        refusals = {
            f"/api/messages/{question}/feedback": ({"helpful": True}, 400, "feedback.question"),
            f"/api/messages/{answer}/feedback": ({"helpful": True, "comment": "x" * 501}, 400, "feedback.comment"),
        }
        for path, (body, status, code) in refusals.items():
            response = await client.put(path, json=body)
            assert (response.status_code, response.json()["error"]["code"]) == (status, code)
        _, pending = appliance.chat.ask(alice, conversation, "And the other one?")
        response = await client.put(f"/api/messages/{pending.id}/feedback", json={"helpful": True})
        assert (response.status_code, response.json()["error"]["code"]) == (409, "feedback.unfinished")
        for body in ({}, {"helpful": True, "kind": "mood"}, {"helpful": True, "stars": 5}):
            assert (await client.put(f"/api/messages/{answer}/feedback", json=body)).status_code == 400
    with appliance.database.read() as connection:
        assert connection.execute(select(tables.feedback)).all() == []


async def test_the_leaf_holds_ids_and_kind_and_the_comment_is_sealed(signed_in, appliance, exchange) -> None:
    async with signed_in("alice") as client:
        await client.put(f"/api/messages/{exchange[2]}/feedback", json=FULL)
    leaf = body_of(appliance, "feedback.given")
    assert leaf["facts"] == {"rating": "unhelpful", "kind": "citation", "shared": "yes"}
    assert {(ref["kind"], ref["id"]) for ref in leaf["resources"]} == {("conversation", exchange[0]), ("message", exchange[2])}
    assert list(leaf["_sd"]) == ["comment"]
    assert "page 4" not in json.dumps(leaf)


async def test_it_goes_with_its_conversation(signed_in, appliance, exchange) -> None:
    async with signed_in("alice") as client:
        await client.put(f"/api/messages/{exchange[2]}/feedback", json=FULL)
        await client.delete(f"/api/conversations/{exchange[0]}")
    with appliance.database.read() as connection:
        assert connection.execute(select(tables.feedback)).all() == []


async def test_without_leave_administrators_see_counts_kind_and_comment(signed_in, appliance, exchange) -> None:
    async with signed_in("alice") as client:
        await client.put(f"/api/messages/{exchange[2]}/feedback", json=FULL | {"shared": False})
    async with signed_in("administrator") as client:
        answer = await client.get("/api/feedback")
    found = answer.json()
    assert (found["helpful"], found["unhelpful"], found["kinds"]["citation"], found["kinds"]["wrong"]) == (0, 1, 1, 0)
    (voice,) = found["page"]
    assert (voice["kind"], voice["comment"], voice["shown"], voice["day_ms"] % 86_400_000) == (
        "citation",
        "It is page 4.",
        None,
        0,
    )
    for secret in (QUESTION, ANSWER, *exchange, "alice"):
        assert secret not in answer.text
    assert body_of(appliance, "feedback.listed")["resources"] == []


async def test_a_bare_thumb_is_a_count(signed_in, exchange) -> None:
    async with signed_in("alice") as client:
        await client.put(f"/api/messages/{exchange[2]}/feedback", json={"helpful": True})
    async with signed_in("administrator") as client:
        found = (await client.get("/api/feedback")).json()
    assert (found["helpful"], found["page"]) == (1, [])


async def test_with_leave_the_question_is_shown_and_the_answer_to_who_may_read_its_documents(
    signed_in, appliance, administrator, alice, exchange, resting_on
) -> None:
    appliance.people.create(administrator, "caretaker", PASSWORD, frozenset({Role.ADMINISTRATOR}))
    handbook = appliance.collections.create(administrator, "Handbook", readers=[f"principal:{administrator.id}"])
    resting_on(handbook)
    async with signed_in("alice") as client:
        await client.put(f"/api/messages/{exchange[2]}/feedback", json=FULL)

    async def shown_to(name: str) -> dict:
        async with signed_in(name) as client:
            return (await client.get("/api/feedback")).json()["page"][0]["shown"]

    # the first administrator is an employee with a grant; the caretaker administers and reads no document
    read = {"message_id": exchange[2], "question": QUESTION, "answer": ANSWER, "collection_ids": [handbook]}
    assert await shown_to("administrator") == read
    assert await shown_to("caretaker") == read | {"answer": None, "collection_ids": []}
    assert body_of(appliance, "feedback.listed")["resources"] == [{"kind": "message", "id": exchange[2]}]
    his = next(item.id for item in appliance.collections.readable(alice) if item.owner_id == alice.id)
    resting_on(his)
    assert (await shown_to("administrator"))["answer"] is None, "one of its documents is alice's own"


async def test_an_answer_from_a_document_that_is_gone_is_shown_to_nobody(signed_in, exchange, resting_on) -> None:
    resting_on(None)
    async with signed_in("alice") as client:
        await client.put(f"/api/messages/{exchange[2]}/feedback", json=FULL)
    async with signed_in("administrator") as client:
        assert (await client.get("/api/feedback")).json()["page"][0]["shown"]["answer"] is None


async def test_a_leave_that_is_taken_back_hides_it_again(signed_in, exchange) -> None:
    async with signed_in("alice") as client:
        await client.put(f"/api/messages/{exchange[2]}/feedback", json=FULL)
        await client.put(f"/api/messages/{exchange[2]}/feedback", json=FULL | {"shared": False})
    async with signed_in("administrator") as client:
        found = await client.get("/api/feedback")
    assert found.json()["page"][0]["shown"] is None
    assert QUESTION not in found.text


async def test_others_do_not_read_what_people_say(signed_in, exchange, officer) -> None:
    for name in ("alice", "officer"):
        async with signed_in(name) as client:
            for path in ("/api/feedback", "/api/quality", "/admin/quality"):
                assert (await client.get(path)).status_code == 403, (name, path)


async def test_what_is_shown_may_become_part_of_a_golden_set_and_nothing_else_may(
    signed_in, appliance, administrator, exchange
) -> None:
    handbook = appliance.collections.create(administrator, "Handbook", readers=[f"principal:{administrator.id}"])
    golden = appliance.golden.create(administrator, handbook, "Keys")
    place, order = f"/api/feedback/{exchange[2]}/golden/{golden.id}", {"text": QUESTION, "answers": ["the drawer"]}
    async with signed_in("alice") as client:
        await client.put(f"/api/messages/{exchange[2]}/feedback", json=FULL | {"shared": False})
        assert (await client.post(place, json=order)).status_code == 403
    async with signed_in("administrator") as client:
        assert (await client.post(place, json=order)).status_code == 404
    assert appliance.golden.questions(administrator, golden.id)[1] == []
    async with signed_in("alice") as client:
        await client.put(f"/api/messages/{exchange[2]}/feedback", json=FULL)
    async with signed_in("administrator") as client:
        assert (await client.post(place, json=order)).status_code == 204
        assert (await client.post(place, json=order | {"answers": []})).status_code == 400  # the set says what it needs
    (kept,) = appliance.golden.questions(administrator, golden.id)[1]
    assert (kept.expected.text, kept.expected.answers) == (QUESTION, ("the drawer",))
