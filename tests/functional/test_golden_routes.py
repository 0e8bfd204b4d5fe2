"""Golden sets over HTTP: what the page sends, and what it may not."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from appliance.bootstrap import Appliance
from appliance.storage.tables import audit_events
from tests.web_clients import RecordedQueue, own_collection, signed_in
from web.controllers.golden import IMPORT_LIMIT_BYTES

pytestmark = pytest.mark.anyio

CSV = "question,answers,silent\nHow many days?,thirty|30,no\nWho is king?,,yes\n"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def recorded(appliance: Appliance, event: str) -> int:
    with appliance.database.read() as connection:
        return connection.execute(select(func.count()).where(audit_events.c.event == event)).scalar_one()


async def test_a_set_is_made_filled_asked_and_taken_away(appliance: Appliance, administrator) -> None:
    queue = RecordedQueue()
    async with signed_in(appliance, "administrator", queue) as client:
        order = {"collection_id": own_collection(appliance, administrator), "name": "Basics"}
        made = (await client.post("/api/golden", json=order)).json()["id"]
        assert (await client.post("/api/golden", json=order)).json()["error"]["code"] == "golden.name_taken"
        assert (await client.post(f"/api/golden/{made}/runs", json={})).json()["error"]["code"] == "golden.empty"
        assert (await client.post(f"/api/golden/{made}/import?form=csv", content=CSV)).json() == {"added": 2}
        refused = await client.post(f"/api/golden/{made}/import?form=csv", content=CSV + "Who?,,no\n")
        assert (refused.status_code, refused.json()["error"]["question"]) == (400, 3)
        exported = await client.get(f"/api/golden/{made}/export")
        assert exported.headers["content-disposition"].startswith('attachment; filename="Basics.csv"')
        assert "thirty | 30" in exported.text
        change = {"required": True, "schedule": "weekly", "hour": 5, "weekday": 6}
        assert (await client.patch(f"/api/golden/{made}", json=change)).status_code == 204
        assert (await client.patch(f"/api/golden/{made}", json={"hour": 24})).status_code == 400
        detail = (await client.get(f"/api/golden/{made}")).json()
        assert [question["silent"] for question in detail["questions"]] == [False, True]
        assert detail["set"]["due_ms"] > detail["set"]["questions"]

        run = (await client.post(f"/api/golden/{made}/runs", json={})).json()
        assert queue.ids == [run["id"]], "ids alone travel"
        assert (await client.post(f"/api/golden/{made}/runs", json={})).json()["error"]["code"] == "golden.running"
        looks = recorded(appliance, "golden.read")
        assert (await client.get("/api/golden/progress")).json() == [
            {"id": run["id"], "set_id": made, "status": "PENDING", "total": 2, "done": 0}
        ]
        assert recorded(appliance, "golden.read") == looks
        assert (await client.post(f"/api/golden/runs/{run['id']}/accept")).json()["error"]["code"] == "golden.not_comparable"
        assert (await client.post(f"/api/golden/runs/{run['id']}/stop")).status_code == 204
        assert (await client.get(f"/api/golden/runs/{run['id']}")).json()["run"]["status"] == "STOPPED"
        assert (await client.delete(f"/api/golden/{made}")).status_code == 204
        assert (await client.get(f"/api/golden/{made}")).status_code == 404


async def test_what_is_no_question_and_no_reason_is_refused(appliance: Appliance, administrator) -> None:
    async with signed_in(appliance, "administrator") as client:
        order = {"collection_id": own_collection(appliance, administrator), "name": "Basics"}
        made = (await client.post("/api/golden", json=order)).json()["id"]
        for question in (
            {"text": "Who?"},
            {"text": "Who?", "silent": True, "answers": ["him"]},
            {"silent": True},
            {"text": "W", "x": 1},
        ):
            assert (await client.post(f"/api/golden/{made}/questions", json=question)).status_code == 400, question
        too_large = b"question,silent\n" + b"Who?,yes\n" * (IMPORT_LIMIT_BYTES // 9 + 1)
        assert (await client.post(f"/api/golden/{made}/import?form=csv", content=too_large)).status_code == 413
        empty = await client.post("/api/models/any@1/override", json={"reason": "  "})
        assert (empty.status_code, empty.json()["error"]["code"]) == (400, "golden.reason")
        assert (await client.post("/api/models/any@1/override", json={"reason": "because"})).status_code == 404
        assert recorded(appliance, "golden.overridden") == 0
