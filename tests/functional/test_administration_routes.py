"""The administrator's routes: people, collections, models and the state of the box."""

from __future__ import annotations

import pytest

from appliance.administration.samples import COLLECTION_NAME, handbook_files, load_handbook
from appliance.bootstrap import Appliance
from appliance.documents.models import DocumentStatus
from appliance.identity.models import Principal
from tests.web_clients import signed_in, store_document

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_people_are_made_changed_and_disabled(appliance: Appliance, administrator: Principal) -> None:
    person = {"name": "purser", "password": "a long enough passphrase", "roles": ["employee"]}
    async with signed_in(appliance, "administrator") as client:
        weak = await client.post("/api/people", json={**person, "password": "short"})
        none = await client.post("/api/people", json={**person, "roles": []})
        assert (none.status_code, none.json()["error"]["code"]) == (400, "person.no_role")
        both = await client.post("/api/people", json={**person, "roles": ["officer", "administrator"]})
        unknown = await client.post("/api/people", json={**person, "admin": True})
        assert [answer.status_code for answer in (weak, both, unknown)] == [400, 400, 400]
        assert "12" in weak.json()["error"]["message"]
        made = await client.post("/api/people", json=person)
        assert made.status_code == 201
        assert (await client.post("/api/people", json=person)).status_code == 409
        path = f"/api/people/{made.json()['id']}"
        token = appliance.sessions.sign_in("purser", person["password"], "test")
        changed = await client.patch(path, json={"roles": ["officer"], "disabled": True})
        assert (changed.json()["roles"], changed.json()["disabled"]) == (["officer"], True)
        assert appliance.sessions.principal(token) is None
        assert "passphrase" not in (await client.get("/api/people")).text
        myself = f"/api/people/{administrator.id}"
        assert (await client.patch(myself, json={"disabled": True})).status_code == 409


async def test_who_left_is_deleted_with_what_was_agreed_to(
    appliance: Appliance, administrator: Principal, alice: Principal
) -> None:
    store_document(appliance, alice, "diary.txt", b"Nobody reads this.")
    path, agreed = f"/api/people/{alice.id}", {"conversations": 0, "documents": 1}
    async with signed_in(appliance, "administrator") as client:
        for target in (path, f"/api/people/{administrator.id}"):
            for answer in (await client.get(f"{target}/belongings"), await client.request("DELETE", target, json=agreed)):
                assert answer.status_code == 409, target
        await client.patch(path, json={"disabled": True})
        told = await client.get(f"{path}/belongings")
        assert (told.status_code, told.json()) == (200, {**agreed, "shared_documents": 0})
        for body, status in (({}, 400), ({**agreed, "all": True}, 400), ({**agreed, "documents": 0}, 409)):
            assert (await client.request("DELETE", path, json=body)).status_code == status, body
        gone = await client.request("DELETE", path, json=agreed)
        assert (gone.status_code, gone.json()) == (200, told.json())
        assert [item["name"] for item in (await client.get("/api/people")).json()] == ["administrator"]
        for answer in (await client.get(f"{path}/belongings"), await client.request("DELETE", path, json=agreed)):
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "person.not_found")


async def test_collections_are_opened_to_people_and_to_everyone(
    appliance: Appliance, administrator: Principal, alice: Principal
) -> None:
    store_document(appliance, alice, "private-diary.txt", b"Nobody reads this.")
    async with signed_in(appliance, "administrator") as client:
        made = (await client.post("/api/admin/collections", json={"name": "Board"})).json()["id"]
        again = await client.post("/api/admin/collections", json={"name": "board"})
        assert (again.status_code, again.json()["error"]["code"]) == (409, "collection.name_taken")
        path = f"/api/admin/collections/{made}"
        assert (await client.patch(path, json={"readers": ["principal:nobody-at-all"]})).status_code == 400
        grants = {"readers": ["group:everyone"], "contributors": [f"principal:{alice.id}"]}
        assert (await client.patch(path, json=grants)).status_code == 204
        listed = await client.get("/api/admin/collections")
        board = next(item for item in listed.json() if item["id"] == made)
        assert {"readers": board["readers"], "contributors": board["contributors"]} == grants
        own = next(item for item in listed.json() if item["owner"] == "alice")
        assert (own["personal"], own["readers"]) == (True, [])
        assert "diary" not in listed.text
        assert (await client.patch(f"/api/admin/collections/{own['id']}", json=grants)).status_code in {403, 404}
    async with signed_in(appliance, "alice") as client:
        mine = {item["name"]: item["may_contribute"] for item in (await client.get("/api/collections")).json()}
    assert mine["Board"] is True


async def test_a_collection_is_renamed_and_deleted(appliance: Appliance, administrator: Principal) -> None:
    everybody = frozenset({"group:everyone"})
    made = appliance.collections.create(administrator, "Board", readers=everybody, contributors=everybody)
    store_document(appliance, administrator, "minutes.txt", b"Nothing was decided.", made)
    path = f"/api/admin/collections/{made}"
    async with signed_in(appliance, "administrator") as client:
        assert (await client.patch(path, json={"name": "Minutes"})).status_code == 204
        listed = next(item for item in (await client.get("/api/admin/collections")).json() if item["id"] == made)
        assert (listed["name"], listed["document_count"]) == ("Minutes", 1)
        for body, status, code in (
            ({"name": "Board", "documents": 1}, 400, "collection.name_mismatch"),
            ({"name": "Minutes"}, 409, "collection.holds_documents"),
        ):
            refused = await client.request("DELETE", path, json=body)
            assert (refused.status_code, refused.json()["error"]["code"]) == (status, code)
        assert refused.json()["error"]["documents"] == 1
        assert (await client.request("DELETE", path, json={"name": "Minutes", "documents": 1})).status_code == 204
        assert (await client.request("DELETE", path, json={"name": "Minutes"})).status_code == 404
        assert (await client.get("/api/documents")).json() == []


async def test_the_box_tells_counts_and_never_names(appliance: Appliance, administrator: Principal, alice: Principal) -> None:
    store_document(appliance, alice, "merger-plans.txt", b"Top secret.")
    async with signed_in(appliance, "administrator") as client:
        answer = await client.get("/api/box")
        models = await client.get("/api/models")
    box = answer.json()
    assert box["documents"] == {"PENDING": 1}
    assert (box["people"], box["processes"], set(box["queues"])) == (2, [], {"answers", "ingest", "maintenance"})
    assert "Redis does not answer" in box["problem"]
    assert box["disk"]["free"] > 0
    assert box["disk"]["database"] > 0
    assert box["versions"]["sqlite-vec"] == "0.1.9"
    assert "merger" not in answer.text
    assert models.json() == []


@pytest.mark.models
async def test_the_sample_handbook_becomes_searchable_for_everyone(
    appliance_with_models: Appliance, administrator: Principal, alice: Principal
) -> None:
    appliance = appliance_with_models
    ids = load_handbook(appliance.collections, appliance.documents.begin_upload, administrator)
    assert len(ids) == len(handbook_files()) >= 8
    for document_id in ids:
        appliance.documents.ingest(document_id, "test")
    shared = next(item for item in appliance.collections.readable(alice) if item.name == COLLECTION_NAME)
    assert not shared.may_contribute
    found = appliance.documents.list(alice, shared.id)
    assert {document.status for document in found} == {DocumentStatus.READY}
    hits = appliance.search.search(alice, "hotel limit per night", 3)
    assert "110" in " ".join(hit.text for hit in hits)
