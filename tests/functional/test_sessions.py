"""Signing in, signing out, set-up, and the requests that other sites would make a browser send."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import pytest
from litestar import Request
from litestar.testing import AsyncTestClient
from sqlalchemy import delete, select

from appliance.audit.events import EventName
from appliance.storage.tables import audit_events, roles
from web.app import create_app
from web.authentication import source_of

pytestmark = pytest.mark.anyio
PASSWORD = "a long enough passphrase"


def events(appliance) -> list[str]:
    with appliance.database.read() as connection:
        return list(connection.execute(select(audit_events.c.event)).scalars())


async def test_a_wrong_password_and_an_unknown_name_get_the_same_answer(client, appliance, alice):
    wrong = await client.post("/api/sessions", json={"name": "alice", "password": "not this one"})
    unknown = await client.post("/api/sessions", json={"name": "nobody here", "password": "not this one"})
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.json() == unknown.json()
    assert "set-cookie" not in wrong.headers
    assert EventName.SESSION_REFUSED in events(appliance)


FRONT = "10.1.1.1"


def source(appliance, peer, forwarded):
    headers = [] if forwarded is None else [(b"x-forwarded-for", line.encode()) for line in forwarded.split("|")]
    app = SimpleNamespace(state=SimpleNamespace(appliance=appliance))
    return source_of(Request({"type": "http", "client": (peer, 1), "headers": headers, "litestar_app": app}))


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("10.2.2.2", "10.3.3.3", "10.2.2.2"),  # anybody can write the header
        (FRONT, None, FRONT),
        (FRONT, "", FRONT),
        (FRONT, "10.3.3.3", "10.3.3.3"),
        (FRONT, "10.4.4.4, 10.3.3.3", "10.3.3.3"),  # the front adds what it saw; before it stands what it was told
        (FRONT, "127.0.0.1|10.3.3.3", "10.3.3.3"),  # some add it as a line of its own
        (FRONT, "127.0.0.1|10.4.4.4, 10.3.3.3", "10.3.3.3"),
        (FRONT, "10.3.3.3:51000", "10.3.3.3"),  # another port with each connection would be another address with each try
        (FRONT, "[2001:db8::7]:51000", "2001:db8::7"),
        (FRONT, "[2001:db8::7]", "2001:db8::7"),
        (FRONT, "2001:db8::7", "2001:db8::7"),
    ],
)
def test_the_address_a_front_tells_is_believed_of_the_trusted_one_alone(appliance, peer, forwarded, expected):
    appliance.settings = dataclasses.replace(appliance.settings, trusted_proxy=FRONT)
    assert source(appliance, peer, forwarded) == expected
    appliance.settings = dataclasses.replace(appliance.settings, trusted_proxy="")
    assert source(appliance, peer, forwarded) == peer


async def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(client, alice):
    response = await client.post("/api/sessions", json={"name": "alice", "password": PASSWORD})
    cookie = response.headers["set-cookie"]
    assert response.json() == {"name": "alice", "roles": ["employee"], "home": "/chat"}
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; ")), cookie
    assert "Domain" not in cookie


async def test_behind_tls_the_cookie_is_bound_to_the_host(appliance, queue, alice):
    appliance.settings = dataclasses.replace(appliance.settings, cookie_secure=True)
    async with AsyncTestClient(create_app(appliance, queue=queue)) as client:
        response = await client.post("/api/sessions", json={"name": "alice", "password": PASSWORD})
    assert response.headers["set-cookie"].startswith("__Host-cloister=")
    assert "Secure" in response.headers["set-cookie"]
    assert "max-age" in response.headers["strict-transport-security"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://elsewhere.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "null"},
        {"Origin": "null", "Host": ""},
        {"Origin": "http://[::1"},
    ],
    ids=str,
)
async def test_another_site_cannot_sign_anybody_in(client, alice, headers):
    response = await client.post("/api/sessions", json={"name": "alice", "password": PASSWORD}, headers=headers)
    assert response.status_code == 403
    assert response.json()["error"]["code"] == "csrf.origin"


@pytest.mark.parametrize("token", [None, "", "0" * 64], ids=["absent", "empty", "wrong"])
async def test_a_change_needs_the_csrf_token(signed_in, alice, appliance, token):
    async with signed_in("alice") as client:
        del client.headers["X-CSRF-Token"]
        headers = {} if token is None else {"X-CSRF-Token": token}
        response = await client.post("/api/conversations", json={}, headers=headers)
        assert response.status_code == 403
        assert response.json()["error"]["code"] == "csrf.mismatch"
    assert appliance.chat.conversations(alice) == []


async def test_one_persons_csrf_token_is_of_no_use_to_another(signed_in, alice, bob):
    async with signed_in("alice") as hers, signed_in("bob") as his:
        response = await his.post("/api/conversations", json={}, headers={"X-CSRF-Token": hers.headers["X-CSRF-Token"]})
    assert response.status_code == 403


async def test_a_password_is_changed_by_its_owner_alone(client, signed_in, alice, bob, appliance):
    change = {"current": PASSWORD, "new": "a wholly different phrase"}
    assert (await client.post("/api/password", json=change)).status_code == 401
    async with signed_in("alice") as hers:
        for current, new, code in (
            ("not this one", change["new"], "password.wrong"),
            (PASSWORD, "short", "password.too_short"),
        ):
            refused = await hers.post("/api/password", json={"current": current, "new": new})
            assert (refused.status_code, refused.json()["error"]["code"]) == (400, code)
        named = await hers.post("/api/password", json={**change, "person_id": bob.id})
        assert named.status_code == 400
        del hers.headers["X-CSRF-Token"]
        assert (await hers.post("/api/password", json=change)).status_code == 403
    async with signed_in("alice"), signed_in("bob"):
        pass  # nothing of it changed a password


async def test_a_changed_password_ends_the_other_sessions(client, signed_in, alice, appliance):
    new = "a wholly different phrase"
    async with signed_in("alice") as here, signed_in("alice") as elsewhere:
        changed = await here.post("/api/password", json={"current": PASSWORD, "new": new})
        assert changed.status_code == 200, changed.text
        assert (await elsewhere.get("/api/conversations")).status_code == 401
        here.headers["X-CSRF-Token"] = changed.json()["csrf_token"]
        assert (await here.post("/api/conversations", json={})).status_code == 201
    assert (await client.post("/api/sessions", json={"name": "alice", "password": PASSWORD})).status_code == 401
    assert (await client.post("/api/sessions", json={"name": "alice", "password": new})).status_code == 201
    assert EventName.PASSWORD_CHANGED in events(appliance)


async def test_signing_out_ends_the_session_on_the_server(signed_in, alice, appliance):
    async with signed_in("alice") as client:
        cookie = client.cookies["cloister"]
        assert (await client.delete("/api/sessions/current")).status_code == 204
        client.cookies.set("cloister", cookie)
        assert (await client.get("/api/conversations")).status_code == 401
    assert EventName.SESSION_DELETED in events(appliance)


async def test_a_disabled_account_is_out_at_once(signed_in, alice, administrator, appliance):
    async with signed_in("alice") as client:
        assert (await client.get("/api/conversations")).status_code == 200
        appliance.people.update(administrator, alice.id, disabled=True)
        assert (await client.get("/api/conversations")).status_code == 401


async def test_pages_send_strangers_to_sign_in_and_back(client, administrator):
    response = await client.get("/documents/abc?page=3", follow_redirects=False)
    assert response.status_code == 303
    assert response.headers["location"] == "/sign-in?next=%2Fdocuments%2Fabc%3Fpage%3D3"


@pytest.mark.parametrize("target", ["https://elsewhere.example/", "//elsewhere.example", "/\\elsewhere.example", "javascript:x"])
async def test_sign_in_leads_to_no_other_site(client, signed_in, alice, target):
    assert "elsewhere" not in (await client.get("/sign-in", params={"next": target})).text
    async with signed_in("alice") as hers:
        response = await hers.get("/sign-in", params={"next": target}, follow_redirects=False)
    assert response.headers["location"] == "/chat"


@pytest.mark.parametrize(
    ("name", "wanted", "landing"),
    [
        ("alice", "/documents/abc?page=3", "/documents/abc?page=3"),
        ("officer", "/audit?event=session.created", "/audit?event=session.created"),
        ("officer", "/chat", "/audit"),
        ("officer", "/chat/abc", "/audit"),
        ("alice", "/chatter", "/chat"),
        ("administrator", "/audit", "/chat"),
    ],
)
async def test_nobody_lands_on_a_page_that_their_role_may_not_open(client, alice, officer, administrator, name, wanted, landing):
    response = await client.post("/api/sessions", json={"name": name, "password": PASSWORD, "next": wanted})
    assert response.json()["home"] == landing


@pytest.mark.parametrize(
    ("name", "offered", "hidden"),
    [
        ("alice", {"/chat", "/documents"}, {"/audit", "/admin/people"}),
        ("officer", {"/audit"}, {"/chat", "/admin/people"}),
        ("administrator", {"/chat", "/documents", "/admin/people"}, {"/audit"}),
    ],
)
async def test_the_navigation_shows_what_policy_allows(signed_in, alice, officer, name, offered, hidden):
    async with signed_in(name) as client:
        text = (await client.get("/")).text
    assert all(f'href="{path}"' in text for path in offered)
    assert not any(f'href="{path}"' in text for path in hidden)


async def test_set_up_works_once_and_signs_in(client, appliance, queue):
    link = appliance.setup.make_link()
    assert (await client.get("/", follow_redirects=False)).headers["location"] == "/setup"
    body = {"token": link, "name": "administrator", "password": PASSWORD, "load_handbook": True}
    response = await client.post("/api/setup", json=body)
    assert response.status_code == 201, response.text
    assert response.json() == {"name": "administrator", "home": "/chat", "handbook_documents": 10}
    assert len(queue.ingests) == 10
    assert (await client.get("/api/collections")).status_code == 200
    # a second time: the account is there, so the page leads home and the link is spent
    assert (await client.get("/setup", params={"token": link}, follow_redirects=False)).headers["location"] == "/"
    client.cookies.clear()
    assert (await client.post("/api/setup", json={**body, "name": "second"})).status_code == 404


async def test_set_up_refuses_a_guessed_link_and_a_weak_password(client, appliance):
    link = appliance.setup.make_link()
    guessed = await client.post("/api/setup", json={"token": "guess", "name": "x", "password": PASSWORD})
    weak = await client.post("/api/setup", json={"token": link, "name": "x", "password": "short"})
    assert (guessed.status_code, weak.status_code) == (404, 400)
    assert appliance.setup.needed()


async def test_an_account_without_a_role_is_told_so_and_led_in_no_circle(client, appliance, alice):
    with appliance.database.write() as connection:
        connection.execute(delete(roles).where(roles.c.principal_id == alice.id))
    signed_in = await client.post("/api/sessions", json={"name": "alice", "password": PASSWORD})
    assert signed_in.json()["home"] == "/"
    assert (await client.get("/sign-in", follow_redirects=False)).headers["location"] == "/"
    start = await client.get("/")
    assert start.status_code == 403
    assert "no role yet" in start.text
