"""What is somebody else's answers exactly like what does not exist, on every route that names a document or a collection."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from appliance.bootstrap import Appliance
from appliance.identity.models import Principal
from appliance.storage.tables import documents
from tests.web_clients import own_collection, signed_in, store_document
from web.app import CONTROLLERS

pytestmark = pytest.mark.anyio

DOCUMENT_ROUTES = [
    ("GET", "/documents/{}"),
    ("GET", "/api/documents/{}"),
    ("DELETE", "/api/documents/{}"),
    ("POST", "/api/documents/{}/retry"),
    ("GET", "/api/documents/{}/pages/1"),
    ("GET", "/api/documents/{}/pages/1/image"),
    ("GET", "/api/documents/{}/pages/1/highlights?start=0&end=5"),
    ("GET", "/api/documents/{}/content"),
]
COLLECTION_ROUTES = [
    ("POST", "/api/collections/{}/documents?name=a.txt"),
    ("GET", "/api/documents?collection_id={}"),
    ("GET", "/api/documents/events?collection_id={}"),
]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def test_the_list_above_is_complete() -> None:
    declared = {
        (method, path)
        for controller in CONTROLLERS
        for name in vars(controller)
        for handler in [getattr(controller, name)]
        if hasattr(handler, "http_methods")
        for method in handler.http_methods - {"OPTIONS"}
        for path in handler.paths
        if "{document_id" in path
    }
    listed = {
        (method, path.partition("?")[0].format("{document_id:str}").replace("/pages/1", "/pages/{number:int}"))
        for method, path in DOCUMENT_ROUTES
    }
    assert {(str(method), path) for method, path in declared} == listed


async def test_foreign_documents_and_collections_do_not_exist(appliance: Appliance, alice: Principal, bob: Principal) -> None:
    foreign = store_document(appliance, bob, "secret.pdf", b"%PDF-1.4 secret of bob")
    collection = own_collection(appliance, bob)
    async with signed_in(appliance, "alice") as client:
        for routes, theirs in ((DOCUMENT_ROUTES, foreign), (COLLECTION_ROUTES, collection)):
            for method, path in routes:
                answers = [
                    await client.request(method, path.format(which), content=b"words" if method == "POST" else None)
                    for which in (theirs, "0" * 32)
                ]
                assert [answer.status_code for answer in answers] == [404, 404], (method, path)
                assert answers[0].text.replace(theirs, "") == answers[1].text.replace("0" * 32, ""), (method, path)
                assert "secret" not in answers[0].text
        assert (await client.get("/api/documents")).json() == []
        assert [item["personal"] for item in (await client.get("/api/collections")).json()] == [True]
    with appliance.database.read() as connection:
        assert connection.execute(select(documents.c.id)).scalars().all() == [foreign]


async def test_a_reader_may_look_but_not_change(appliance: Appliance, administrator: Principal, alice: Principal) -> None:
    shared = appliance.collections.create(administrator, "Shared")
    appliance.collections.update(
        administrator, shared, readers=["group:everyone"], contributors=[f"principal:{administrator.id}"]
    )
    document = store_document(appliance, administrator, "rules.txt", b"Rules for all.", shared)
    async with signed_in(appliance, "alice") as client:
        assert (await client.get(f"/api/documents/{document}/content")).content == b"Rules for all."
        for method, path in (
            ("DELETE", f"/api/documents/{document}"),
            ("POST", f"/api/documents/{document}/retry"),
            ("POST", f"/api/collections/{shared}/documents?name=mine.txt"),
        ):
            assert (await client.request(method, path, content=b"x")).status_code == 403, (method, path)
        appliance.collections.update(administrator, shared, readers=[])
        assert (await client.get(f"/api/documents/{document}")).status_code == 404
