"""What an API key opens, and all that it does not: every route there is against every scope, and everything that is no key."""

from __future__ import annotations

import dataclasses
import shutil

import httpx
import pytest
from litestar import Controller, get, post
from sqlalchemy import text, update

from appliance.audit.events import EventName
from appliance.audit.store import AuditFilter, search
from appliance.bootstrap import Appliance
from appliance.bootstrap.foundation import POLICIES_DIR
from appliance.identity.api_keys import KeyScope
from appliance.identity.models import Principal, Role
from appliance.policy.actions import Action
from appliance.policy.engine import Policies
from appliance.storage import tables
from tests.conftest import PASSWORD
from tests.security.test_routes import filled, walk
from tests.web_clients import signed_in
from web.app import CONTROLLERS, create_app
from web.guards import OPEN_TO_KEYS, WITHOUT_SESSION, declares

pytestmark = pytest.mark.anyio

OPEN = {
    KeyScope.ASK: {
        ("GET", "/api/collections"),
        ("GET", "/api/conversations"),
        ("POST", "/api/conversations"),
        ("GET", "/api/conversations/{conversation_id:str}"),
        ("POST", "/api/conversations/{conversation_id:str}/messages"),
        ("GET", "/api/documents"),
        ("GET", "/api/documents/events"),
        ("GET", "/api/messages/{message_id:str}/events"),
        ("DELETE", "/api/messages/{message_id:str}/feedback"),
        ("PUT", "/api/messages/{message_id:str}/feedback"),
        ("POST", "/api/messages/{message_id:str}/stop"),
        ("GET", "/api/model-choices"),
    },
    KeyScope.DOCUMENTS: {
        ("GET", "/api/collections"),
        ("POST", "/api/collections/{collection_id:str}/documents"),
        ("GET", "/api/documents"),
        ("GET", "/api/documents/events"),
        ("GET", "/api/documents/{document_id:str}"),
        ("GET", "/api/documents/{document_id:str}/content"),
        ("GET", "/api/documents/{document_id:str}/pages/{number:int}"),
        ("GET", "/api/documents/{document_id:str}/pages/{number:int}/highlights"),
        ("GET", "/api/documents/{document_id:str}/pages/{number:int}/image"),
        ("POST", "/api/documents/{document_id:str}/retry"),
    },
}
"""Whoever opens another address to keys says so here, too."""

HARMLESS = {Action.ASSET_READ, Action.HEALTH_READ}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def made(appliance: Appliance, person: Principal, *scopes: KeyScope, days: int = 90) -> str:
    return appliance.api_keys.create(person, PASSWORD, "Import", scopes or tuple(KeyScope), days)[1]


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def refusals(appliance: Appliance) -> list[str]:
    with appliance.database.read() as connection:
        found = search(connection, AuditFilter(event=EventName.KEY_REFUSED), limit=100)
    return [str(record.facts["reason"]) for record in found][::-1]


@pytest.mark.parametrize("scopes", [(KeyScope.ASK,), (KeyScope.DOCUMENTS,), tuple(KeyScope)], ids=str)
async def test_every_route_but_these_is_refused_to_a_key(
    appliance: Appliance, administrator: Principal, scopes: tuple[KeyScope, ...]
) -> None:
    """Of somebody who may do everything that one person can, so that it is the scope that refuses."""
    everything = {Role.ADMINISTRATOR, Role.EMPLOYEE}
    person = appliance.people.create(administrator, "ada", PASSWORD, everything)
    expected = set().union(*(OPEN[scope] for scope in scopes))
    reached = set()
    async with signed_in(appliance) as client:
        client.headers.update(bearer(made(appliance, person, *scopes)))
        for method, path, handler in walk(client.app):
            if handler.opt.get("action") in HARMLESS:
                continue
            address = filled(path) + ("?collection_id=unknown" if path == "/api/documents/events" else "")  # else it has no end
            response = await client.request(method, address, follow_redirects=False)
            if response.status_code == 403:
                wanted = "route.undeclared" if method == "OPTIONS" else "key.scope"
                told = response.json()["error"]["code"] if path.startswith("/api/") else wanted
                assert told == wanted, (method, path, response.text)
            else:
                assert response.status_code in {200, 201, 400, 404, 409}, (method, path, response.text)
                reached.add((method, path))
    assert reached == expected


def test_the_guard_opens_to_keys_nothing_that_ends_or_grants_anything() -> None:
    opened = set().union(*OPEN_TO_KEYS.values())
    assert set(OPEN_TO_KEYS) == set(KeyScope)
    verbs = {action.partition(":")[2] for action in opened}
    assert verbs <= {"ask", "create", "give", "list", "read", "stop", "upload"}
    assert {action.partition(":")[0] for action in opened} == {"conversation", "document", "feedback", "message"}
    assert WITHOUT_SESSION == HARMLESS


async def test_a_new_route_is_closed_to_keys_until_the_guard_says_otherwise(appliance: Appliance, alice: Principal) -> None:
    class Fresh(Controller):
        @get("/api/fresh")
        async def undeclared(self) -> str:
            return "secret"

        @post("/api/fresh", opt=declares(Action.PASSWORD_CHANGE, EventName.PASSWORD_CHANGED))
        async def of_another_kind(self) -> str:
            return "secret"

        @get("/fresh", opt=declares(Action.DOCUMENT_LIST, unaudited="a page, which is for people"))
        async def no_address_for_programs(self) -> str:
            return "secret"

    app = create_app(appliance, controllers=(*CONTROLLERS, Fresh))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with app.lifespan(), httpx.AsyncClient(transport=transport, base_url="http://box.test") as client:
        for method, path in (("GET", "/api/fresh"), ("POST", "/api/fresh"), ("GET", "/fresh")):
            response = await client.request(method, path, headers=bearer(made(appliance, alice)))
            assert (response.status_code, "secret" in response.text) == (403, False), path


async def test_what_is_no_key_is_refused_alike_and_no_cookie_helps(
    appliance: Appliance, alice: Principal, bob: Principal
) -> None:
    right, ended, expired = (made(appliance, alice) for _ in range(3))
    appliance.api_keys.end(alice, ended.split("_")[1])
    with appliance.database.write() as connection:
        connection.execute(update(tables.api_keys).where(tables.api_keys.c.id == expired.split("_")[1]).values(expires_ms=1))
    other_secret = right.replace(right[-64:], made(appliance, bob)[-64:])
    wrong = [
        ("malformed", ""),
        ("malformed", "Bearer"),
        ("malformed", "Bearer "),
        ("malformed", right),
        ("malformed", f"Basic {right}"),
        ("malformed", f"Bearer {right} "[:-2]),
        ("malformed", f"Bearer {right}0"),
        ("malformed", f"Bearer {right.upper()}"),
        ("malformed", f"Bearer {right}, Bearer {right}"),
        ("malformed", f"Bearer cloister_{'0' * 16}"),
        ("malformed", f"Bearer {'x' * 5_000}"),
        ("unknown", f"Bearer cloister_{'0' * 16}_{'0' * 64}"),
        ("unknown", f"Bearer {ended}"),
        ("wrong_secret", f"Bearer {other_secret}"),
        ("expired", f"Bearer {expired}"),
    ]
    answers = set()
    async with signed_in(appliance, "alice") as client:
        assert (await client.get("/api/collections")).status_code == 200
        for _, header in wrong:
            response = await client.get("/api/collections", headers={"Authorization": header})
            answers.add((response.status_code, response.text))
        twice = [("Authorization", f"Bearer {right}"), ("Authorization", f"Bearer {right}")]
        answers.add(((response := await client.get("/api/collections", headers=twice)).status_code, response.text))
        assert (await client.get("/api/collections", headers=bearer(right))).status_code == 200
    message = '{"error":{"code":"key.refused","message":"There is no such API key, or it has ended."}}'
    assert answers == {(401, message)}
    assert refusals(appliance) == [*(reason for reason, _ in wrong), "malformed"]


async def test_a_key_signs_nobody_in_and_makes_no_key(appliance: Appliance, alice: Principal) -> None:
    key = made(appliance, alice)
    wish = {"name": "Another", "scopes": ["ask"], "password": PASSWORD, "days": 366}
    async with signed_in(appliance) as client:
        for path, body in (
            ("/api/sessions", {"name": "alice", "password": PASSWORD}),
            ("/api/account/keys", wish),
            ("/api/password", {"current": PASSWORD, "new": "another long passphrase"}),
        ):
            response = await client.post(path, json=body, headers=bearer(key))
            assert (response.status_code, response.json()["error"]["code"]) == (403, "key.scope"), path
            assert "set-cookie" not in response.headers
        assert (await client.post("/api/account/keys", json=wish)).status_code == 401
    by_key = dataclasses.replace(alice, key_id=key.split("_")[1])
    with pytest.raises(Exception, match="not by keys"):
        appliance.api_keys.create(by_key, PASSWORD, "Another", KeyScope)


async def test_another_site_cannot_use_a_key_and_no_token_of_the_page_is_asked_for(
    appliance: Appliance, alice: Principal
) -> None:
    key = bearer(made(appliance, alice))
    async with signed_in(appliance) as client:
        for foreign in ({"Origin": "https://elsewhere.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
            response = await client.post("/api/conversations", json={}, headers=key | foreign)
            assert (response.status_code, response.json()["error"]["code"]) == (403, "csrf.origin")
        assert (await client.post("/api/conversations", json={}, headers=key)).status_code == 201
        assert (await client.post("/api/conversations", json={}, headers=key | {"Origin": "http://box.test"})).status_code == 201


async def test_a_key_reaches_what_its_person_reaches_today(appliance: Appliance, administrator, alice, bob) -> None:
    shared = appliance.collections.create(administrator, "Handbook", readers={f"principal:{alice.id}"})
    foreign = appliance.chat.create_conversation(bob).id
    key = bearer(made(appliance, alice))

    async def names() -> set[str]:
        return {item["name"] for item in (await client.get("/api/collections", headers=key)).json()}

    async with signed_in(appliance) as client:
        assert await names() == {"Handbook", "My documents"}
        assert (await client.get(f"/api/conversations/{foreign}", headers=key)).status_code == 404
        upload = f"/api/collections/{shared}/documents?name=a.txt"
        assert (await client.post(upload, content=b"words", headers=key)).status_code == 403
        appliance.collections.update(administrator, shared, readers=set())
        assert await names() == {"My documents"}
        appliance.people.update(administrator, alice.id, roles={Role.OFFICER})
        assert (await client.get("/api/collections", headers=key)).status_code == 401
        assert refusals(appliance) == ["not_permitted"]
        appliance.people.update(administrator, alice.id, roles={Role.EMPLOYEE})
        assert await names() == {"My documents"}


async def test_one_rule_of_the_organisation_ends_the_making_and_the_use_of_keys(
    appliance: Appliance, alice: Principal, tmp_path
) -> None:
    key = bearer(made(appliance, alice))
    directory = shutil.copytree(POLICIES_DIR, tmp_path / "policies")
    (directory / "95-ours.cedar").write_text(rule_of_the_docs())
    appliance.access._policies = Policies(directory)
    async with signed_in(appliance, "alice") as client:
        wish = {"name": "Another", "scopes": ["ask"], "password": PASSWORD}
        assert (await client.post("/api/account/keys", json=wish)).status_code == 403
        assert (await client.get("/api/account/keys")).status_code == 200
        assert (await client.get("/api/collections")).status_code == 200
        assert (await client.get("/api/collections", headers=key)).status_code == 401
    assert refusals(appliance) == ["not_permitted"]


def rule_of_the_docs() -> str:
    page = (POLICIES_DIR.parent / "docs" / "api.md").read_text()
    return page.partition("```cedar\n")[2].partition("```")[0]


async def test_wrong_keys_are_slowed_down_by_source_and_right_ones_never(appliance: Appliance, alice: Principal) -> None:
    right = bearer(made(appliance, alice))
    wrong = bearer(f"cloister_{'0' * 16}_{'0' * 64}")
    async with signed_in(appliance) as client:
        codes = [(await client.get("/api/collections", headers=wrong)).status_code for _ in range(55)]
        assert (set(codes[:50]), set(codes[51:])) == ({401}, {429})
        assert (await client.get("/api/collections", headers=right)).status_code == 200
        assert len(refusals(appliance)) == codes.count(401)
        # a person who signs in from there is not slowed down by a program
        assert (await client.post("/api/sessions", json={"name": "alice", "password": PASSWORD})).status_code == 201


async def test_the_secret_is_nowhere_but_in_the_answer_that_made_it(appliance: Appliance, alice: Principal, capfd) -> None:
    async with signed_in(appliance, "alice") as client:
        wish = {"name": "Import", "scopes": ["ask"], "password": PASSWORD}
        answer = await client.post("/api/account/keys", json=wish)
        assert answer.headers["cache-control"] == "no-store"
        key = answer.json()["text"]
        await client.get("/api/collections", headers=bearer(key))
        await client.post("/api/people", headers=bearer(key))
        await client.get("/api/collections", headers=bearer(key[:-1] + ("0" if key[-1] != "0" else "1")))
        assert key[-64:] not in (await client.get("/api/account/keys")).text
    assert not _holding(appliance, key[-64:])
    assert _holding(appliance, key.split("_")[1])  # the id, which says nothing, is how it would have been found
    said = capfd.readouterr()
    assert key[-64:] not in said.out + said.err


def _holding(appliance: Appliance, words: str) -> list[str]:
    """Tables in which this stands; what is sealed there stays so."""
    with appliance.database.read() as connection:
        everything = tables.metadata.sorted_tables
        rows = ((table.name, connection.execute(text(f'SELECT * FROM "{table.name}"')).all()) for table in everything)
        return [name for name, found in rows if any(words in _told(value) for row in found for value in row)]


def _told(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
