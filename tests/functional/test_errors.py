"""What goes wrong answers in one shape, with nothing of the inside."""

from __future__ import annotations

import json

import pytest
from litestar import Controller, get
from litestar.testing import AsyncTestClient

from appliance import errors
from appliance.policy.actions import Action
from web.app import CONTROLLERS, create_app
from web.errors import STATUS, status_of
from web.guards import declares

pytestmark = pytest.mark.anyio
SECRET = "the keeper's diary says"


class BrokenController(Controller):
    @get(["/broken", "/api/broken"], opt=declares(Action.HEALTH_READ, unaudited="a handler of this test"))
    async def broken(self) -> str:
        raise RuntimeError(SECRET)

    @get("/api/throttled", opt=declares(Action.HEALTH_READ, unaudited="a handler of this test"))
    async def throttled(self) -> str:
        raise errors.Throttled("Too many tries. Come back in a minute.", retry_after_s=60)


@pytest.fixture
async def broken(appliance, queue):
    async with AsyncTestClient(create_app(appliance, queue=queue, controllers=(*CONTROLLERS, BrokenController))) as client:
        yield client


def test_every_error_class_has_a_status():
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.ApplianceError)]
    assert {kind.__name__ for kind in kinds if status_of(kind("x")) == 500} == {"ApplianceError"}
    assert set(STATUS.values()) == {400, 401, 403, 404, 409, 429, 503}


@pytest.mark.parametrize("path", ["/broken", "/api/broken"])
async def test_the_unforeseen_shows_a_number_and_nothing_else(broken, capsys, path):
    response = await broken.get(path)
    assert response.status_code == 500
    assert SECRET not in response.text
    assert "RuntimeError" not in response.text
    if path.startswith("/api/"):
        error = response.json()["error"]
        assert error["code"] == "internal"
        assert error["correlation_id"] in error["message"]
        written = capsys.readouterr()
        assert error["correlation_id"] in written.out + written.err


async def test_throttling_says_when_to_come_back(broken):
    response = await broken.get("/api/throttled")
    assert response.status_code == 429
    assert response.headers["retry-after"] == "60"
    assert response.json()["error"] == {
        "code": "throttled",
        "message": "Too many tries. Come back in a minute.",
        "retry_after_s": 60,
    }


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"",
        b"[]",
        b'{"name": 1, "password": "x"}',
        b'{"name": "a"}',
        b'{"name": "a", "password": "b", "more": 1}',
        b"\xff\xfe",
        b"[" * 50_000,
        b'{"name": ' * 5_000,
    ],
    ids=["cut", "empty", "list", "number", "missing", "unknown", "bytes", "lists within lists", "objects within objects"],
)
async def test_a_bad_body_is_a_typed_error(client, body):
    response = await client.post("/api/sessions", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 400
    assert set(response.json()["error"]) <= {"code", "message", "fields"}
    assert response.json()["error"]["code"] == "request.invalid"


async def test_a_huge_body_is_refused(client):
    response = await client.post("/api/sessions", content=json.dumps({"name": "a", "password": "b" * 100_000}))
    assert response.status_code == 413
    assert response.json()["error"]["code"] == "request.too_large"


async def test_pages_answer_errors_as_pages(client):
    response = await client.get("/nowhere")
    assert response.status_code == 404
    assert response.headers["content-type"].startswith("text/html")
    assert "There is nothing at this address." in response.text


async def test_the_wrong_method_is_a_typed_error(client):
    response = await client.post("/health")
    assert response.status_code == 405
    assert response.json()["error"]["code"] == "request.method"


async def test_a_name_with_markup_stays_text(appliance, signed_in, administrator):
    from appliance.identity.models import Role

    appliance.people.create(administrator, "<img src=x onerror=alert(1)>", "a long enough passphrase", frozenset({Role.EMPLOYEE}))
    async with signed_in("<img src=x onerror=alert(1)>") as client:
        text = (await client.get("/chat")).text
    assert "<img src=x" not in text
    assert "&lt;img src=x" in text
