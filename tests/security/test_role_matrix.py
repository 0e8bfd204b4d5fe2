"""Who may open which page and route: each role against each of them, nobody included."""

from __future__ import annotations

import pytest

from appliance.bootstrap import Appliance
from tests.web_clients import signed_in

pytestmark = pytest.mark.anyio

EMPLOYEE = ("/documents", "/api/documents", "/api/collections")
OFFICER = ("/audit", "/api/holds", "/api/audit", "/api/audit/export?format=csv", "/api/audit/export?format=bundle", "/api/egress")
ADMINISTRATOR = (
    "/admin/people",
    "/admin/groups",
    "/admin/collections",
    "/admin/models",
    "/admin/evaluation",
    "/admin/box",
    "/admin/quality",
    "/api/feedback",
    "/api/quality",
    "/api/people",
    "/api/groups",
    "/api/admin/collections",
    "/api/models",
    "/api/models/routing",
    "/api/golden",
    "/api/golden/progress",
    "/api/box",
    "/api/egress",
    "/api/retention",
    "/api/retention/outlook?days=30",
)
CHANGES = (
    ("POST", "/api/people", {"name": "intruder", "password": "a long enough passphrase", "roles": ["administrator"]}),
    ("PATCH", "/api/people/{person}", {"roles": ["administrator", "employee"]}),
    ("PATCH", "/api/people/{person}", {"password": "another long passphrase"}),
    ("DELETE", "/api/people/{person}", {"conversations": 0, "documents": 0}),
    ("DELETE", "/api/people/{person}/second-factor", {}),
    ("DELETE", "/api/people/{person}/keys", {}),
    ("POST", "/api/groups", {"name": "Intruders", "people": ["{person}"]}),
    ("PATCH", "/api/groups/{group}", {"name": "Ours"}),
    ("DELETE", "/api/groups/{group}", {}),
    ("POST", "/api/groups/{group}/members", {"people": ["{person}"]}),
    ("DELETE", "/api/groups/{group}/members", {"people": ["{person}"]}),
    ("POST", "/api/admin/collections", {"name": "Loot"}),
    ("PATCH", "/api/admin/collections/{collection}", {"readers": ["group:everyone"]}),
    ("DELETE", "/api/admin/collections/{collection}", {"name": "Board"}),
    ("PATCH", "/api/retention", {"days": 1, "going": 9}),
    ("PATCH", "/api/admin/collections/{collection}/retention", {"days": 1, "going": 9}),
    ("POST", "/api/models/any@1/activate", {}),
    ("POST", "/api/models/any/rollback", {}),
    ("POST", "/api/models/any@1/canary", {"percent": 50}),
    ("POST", "/api/models/any@1/retire", {}),
    ("POST", "/api/models/any@1/retry", {}),
    ("DELETE", "/api/models/any@1", {}),
    ("POST", "/api/golden", {"collection_id": "{collection}", "name": "Mine"}),
    ("PATCH", "/api/golden/any", {"required": False}),
    ("DELETE", "/api/golden/any", {}),
    ("POST", "/api/golden/any/questions", {"text": "Who?", "silent": True}),
    ("POST", "/api/golden/any/import?form=csv", {}),
    ("POST", "/api/golden/any/runs", {}),
    ("POST", "/api/golden/runs/any/stop", {}),
    ("POST", "/api/golden/runs/any/accept", {}),
    ("POST", "/api/models/any@1/examine", {}),
    ("POST", "/api/models/any@1/override", {"reason": "because"}),
)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_each_role_sees_its_own_pages_and_no_others(appliance: Appliance, administrator, alice, officer) -> None:
    allowed = {"administrator": EMPLOYEE + ADMINISTRATOR, "alice": EMPLOYEE, "officer": OFFICER}
    for name, open_to in allowed.items():
        async with signed_in(appliance, name) as client:
            for path in {*EMPLOYEE, *OFFICER, *ADMINISTRATOR}:
                status = (await client.get(path)).status_code
                assert (status == 200) if path in open_to else (status in {403, 404}), (name, path, status)


async def test_nobody_sees_anything_before_signing_in(appliance: Appliance, administrator) -> None:
    async with signed_in(appliance) as client:
        for path in EMPLOYEE + OFFICER + ADMINISTRATOR:
            answer = await client.get(path)
            if path.startswith("/api/"):
                assert answer.status_code == 401, path
            else:
                assert (answer.status_code, answer.headers["location"].partition("?")[0]) == (303, "/sign-in"), path


async def test_only_administrators_change_people_and_collections(appliance: Appliance, administrator, alice, officer) -> None:
    collection = appliance.collections.create(administrator, "Board")
    group = appliance.groups.create(administrator, "Porters").id
    before = {account.principal.name: account.principal.roles for account in appliance.people.list(administrator)}
    for name in ("alice", "officer"):
        async with signed_in(appliance, name) as client:
            assert (await client.get(f"/api/people/{alice.id}/belongings")).status_code == 403, name
            for method, path, change in CHANGES:
                target = path.format(person=alice.id, collection=collection, group=group)
                status = (await client.request(method, target, json=change)).status_code
                assert status in {403, 404}, (name, method, path, status)
    after = {account.principal.name: account.principal.roles for account in appliance.people.list(administrator)}
    assert before == after
    assert [(made.name, made.member_count) for made in appliance.groups.list(administrator)][1:] == [("Porters", 0)]
    board = next(detail for detail in appliance.collections.list_all(administrator) if detail.id == collection)
    assert board.readers == frozenset()
