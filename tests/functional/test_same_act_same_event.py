"""The same act by the cookie of a browser, by an API key and by a worker for either leaves the same event; a key's names the key."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from appliance.audit.events import EventName, ResourceRef
from appliance.audit.integrity import check
from appliance.audit.store import AuditFilter, search
from appliance.bootstrap import Appliance
from appliance.chat.sink import SilentSink
from appliance.identity.api_keys import KeyScope
from appliance.identity.models import Principal
from appliance.storage.tables import audit_events
from tests.conftest import PASSWORD
from tests.web_clients import own_collection, signed_in

pytestmark = pytest.mark.anyio

RULES = b"The ferry sails at seven in the morning. The porter has the keys of the boat house.\n"
ANSWERS = {EventName.ANSWER_RELEASED, EventName.ANSWER_STARTED}
"""What a model says twice is not the same to the last byte: here the names of the facts count."""


async def acts(appliance: Appliance, client: httpx.AsyncClient, person: Principal, foreign: str) -> list[dict[str, Any]]:
    """All that a key may do, allowed and refused, and what workers make of it; the leaves of that."""
    before = leaves(appliance)
    own = own_collection(appliance, person)
    uploaded = await client.post(f"/api/collections/{own}/documents?name=rules.txt", content=RULES)
    document = uploaded.json()["document"]["id"]
    appliance.documents.ingest(document, "worker")
    assert (await client.post(f"/api/collections/{own}/documents?name=rules.exe", content=RULES)).status_code == 400
    assert (await client.post(f"/api/collections/{own}/documents?name=empty.txt", content=b"")).status_code == 400
    for path in ("", "/content", "/pages/1"):
        assert (await client.get(f"/api/documents/{document}{path}")).status_code == 200
    assert len((await client.get("/api/documents")).json()) == 1
    conversation = (await client.post("/api/conversations", json={})).json()["id"]
    asked = await client.post(f"/api/conversations/{conversation}/messages", json={"text": "When does the ferry sail?"})
    answer = asked.json()["answer"]["id"]
    appliance.chat.answer(answer, SilentSink(), "worker")
    read = (await client.get(f"/api/conversations/{conversation}")).json()["messages"][1]
    assert read["status"] == "DONE", read
    await client.put(f"/api/messages/{answer}/feedback", json={"helpful": True})
    await client.delete(f"/api/messages/{answer}/feedback")
    stopped = await client.post(f"/api/conversations/{conversation}/messages", json={"text": "Where are the keys?"})
    assert (await client.post(f"/api/messages/{stopped.json()['answer']['id']}/stop")).status_code == 202
    assert (await client.get("/api/conversations")).status_code == 200
    assert (await client.get(f"/api/conversations/{foreign}")).status_code == 404
    assert (await client.get("/api/documents/unknown")).status_code == 404
    done = leaves(appliance)[len(before) :]
    appliance.documents.delete(person, document)
    appliance.chat.delete_conversation(person, conversation)
    return done


def leaves(appliance: Appliance) -> list[dict[str, Any]]:
    with appliance.database.read() as connection:
        return [
            json.loads(body) for body in connection.execute(select(audit_events.c.body).order_by(audit_events.c.seq)).scalars()
        ]


def likeness(leaf: dict[str, Any]) -> dict[str, Any]:
    """What must be the same: all but number, time, hashes, ids of things that were made for it, and the key."""
    figures = leaf["action"] in ANSWERS
    facts = {name: None if figures else value for name, value in leaf.get("facts", {}).items() if name != "key_id"}
    wanted = ("class_uid", "activity_id", "actor_pseudonym", "action", "decision", "policy_set_sha256", "status", "on_behalf_of")
    same = {name: leaf.get(name) for name in wanted}
    return same | {"facts": facts, "sealed": sorted(leaf["_sd"]), "resources": [item["kind"] for item in leaf["resources"]]}


async def test_by_cookie_by_key_and_by_worker(appliance_with_models: Appliance, alice: Principal, bob: Principal) -> None:
    appliance = appliance_with_models
    foreign = appliance.chat.create_conversation(bob).id
    async with signed_in(appliance, "alice") as client:
        by_cookie = await acts(appliance, client, alice, foreign)
    key, text = appliance.api_keys.create(alice, PASSWORD, "Import", KeyScope)
    async with signed_in(appliance) as client:
        client.headers["Authorization"] = f"Bearer {text}"
        by_key = await acts(appliance, client, alice, foreign)
    assert [likeness(leaf) for leaf in by_key] == [likeness(leaf) for leaf in by_cookie]
    told = {leaf["action"] for leaf in by_key}
    worked = {leaf["action"] for leaf in by_key if leaf["actor_pseudonym"] == "system"}
    assert worked == {"answer.released", "answer.started", "answer.stopped", "document.ingested"}
    assert told >= worked | {"document.uploaded", "question.asked", "stop.requested", "feedback.given", "access.denied"}
    assert {leaf.get("facts", {}).get("key_id") for leaf in by_cookie} == {None}
    assert {leaf["facts"]["key_id"] for leaf in by_key} == {key.id}
    with appliance.database.read() as connection:
        found = search(connection, AuditFilter(resource=ResourceRef("key", key.id)), limit=100)
        assert check(connection).intact
    assert {record.seq for record in found} >= {leaf["seq"] for leaf in by_key}
    assert {record.event for record in found} - told == {EventName.KEY_CREATED}
