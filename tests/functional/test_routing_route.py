"""What administrators see of routing, and that every look is on record."""

from __future__ import annotations

import pytest

from appliance.audit.store import AuditFilter, search
from appliance.bootstrap import Appliance
from tests.web_clients import signed_in

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_an_administrator_sees_the_box_and_each_decision(appliance: Appliance, administrator) -> None:
    async with signed_in(appliance, "administrator") as client:
        found = (await client.get("/api/models/routing")).json()
    assert [decision["classification"] for decision in found["decisions"]] == list(appliance.routing.classifications)
    # nothing is installed in this box, and nothing stands in
    assert all(decision["winner"] is None and decision["refusal"] for decision in found["decisions"])
    assert found["hardware"]["memory_total_mb"] > 0
    with appliance.database.read() as connection:
        (record,) = search(connection, AuditFilter(event="model.listed"), limit=5)
    assert record.facts == {"shown": "routing"}


@pytest.mark.models
async def test_the_winner_and_the_losers_are_told(appliance_with_models: Appliance, administrator) -> None:
    async with signed_in(appliance_with_models, "administrator") as client:
        found = (await client.get("/api/models/routing")).json()
    internal = next(decision for decision in found["decisions"] if decision["classification"] == "internal")
    assert (internal["winner"]["runtime"], internal["winner"]["device"]) == ("llamacpp", "cpu")
    assert all(other["reason"] and other["sentence"].endswith(".") for other in internal["others"])


async def test_a_collection_is_classified_by_its_administrator_alone(appliance: Appliance, administrator, alice) -> None:
    board = appliance.collections.create(administrator, "Board")
    appliance.collections.update(administrator, board, readers=["group:everyone"])
    async with signed_in(appliance, "alice") as client:
        path = f"/api/admin/collections/{board}"
        assert (await client.patch(path, json={"classification": "public"})).status_code == 403
        shared = [item for item in (await client.get("/api/collections")).json() if not item["personal"]]
        assert [item["classification"] for item in shared] == ["internal"]
    async with signed_in(appliance, "administrator") as client:
        answer = await client.patch(path, json={"classification": "royal"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "collection.classification")
        assert (await client.patch(path, json={"classification": "secret"})).status_code == 204
        listed = (await client.get("/api/admin/collections")).json()
        assert next(item["classification"] for item in listed if item["id"] == board) == "secret"
        page = (await client.get("/admin/collections")).text
    assert all(f'<option value="{name}">' in page for name in appliance.routing.classifications)
