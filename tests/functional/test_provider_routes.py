"""The two addresses of signing in through the identity provider, as a browser meets them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from litestar.testing import AsyncTestClient

from tests.identity_providers import CLIENT_ID, SECRET, FakeProvider, standing_provider
from web.app import create_app

pytestmark = pytest.mark.anyio
ANSWER = "/sign-in/provider/answer"


@pytest.fixture
def provider(appliance, administrator, alice) -> Iterator[FakeProvider]:
    with standing_provider(appliance, own_address="https://box.example.org") as fake:
        appliance.provider_accounts.allow(administrator, alice.id)
        yield fake


async def begun(client: AsyncTestClient, path: str = "/sign-in/provider"):
    return await client.get(path, follow_redirects=False, headers={"Host": "evil.example.org"})


@pytest.mark.parametrize("path", ["/sign-in/provider", f"{ANSWER}?state=a&code=b"])
async def test_without_a_provider_there_is_nothing_at_these_addresses(client, alice, path):
    response = await client.get(path, follow_redirects=False)
    assert response.status_code == 404
    assert "set-cookie" not in response.headers
    assert "Sign in with" not in (await client.get("/sign-in")).text


async def test_the_way_there_names_the_box_by_its_setting_and_no_secret(client, provider):
    response = await begun(client)
    assert response.status_code == 303
    asked = parse_qs(urlsplit(response.headers["location"]).query)
    assert response.headers["location"].startswith(f"{provider.issuer}/authorize?")
    assert asked["redirect_uri"] == [f"https://box.example.org{ANSWER}"]
    assert (asked["client_id"], asked["response_type"], asked["code_challenge_method"]) == ([CLIENT_ID], ["code"], ["S256"])
    assert "evil" not in response.headers["location"] and SECRET not in response.headers["location"]
    cookie = response.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=lax", "Max-Age=600"} <= set(cookie.split("; ")), cookie


async def test_behind_tls_that_cookie_is_bound_to_the_host(appliance, queue, provider):
    appliance.settings = dataclasses.replace(appliance.settings, cookie_secure=True)
    async with AsyncTestClient(create_app(appliance, queue=queue)) as client:
        cookie = (await begun(client)).headers["set-cookie"]
    assert cookie.startswith("__Host-cloister-provider=") and "Secure" in cookie and "Path=/" in cookie and "Domain" not in cookie


@pytest.mark.parametrize(
    ("spoiled", "status", "sentence"),
    [
        ({"error": "access_denied", "error_description": "<b>words</b>"}, 401, "Your identity provider did not sign you in."),
        ({"state": "guessed"}, 401, "This sign-in was begun in another window or too long ago. Please begin again."),
        ({"code": "guessed"}, 401, "Signing in through your identity provider did not work."),
    ],
)
async def test_a_refusal_is_a_page_with_a_sentence_of_ours(client, provider, spoiled, status, sentence):
    back = provider.visited((await begun(client)).headers["location"]) | spoiled
    response = await client.get(f"{ANSWER}?{urlencode(back)}", follow_redirects=False)
    assert response.status_code == status
    assert sentence in response.text
    assert "words" not in response.text and "invalid_grant" not in response.text
    assert "cloister=" not in response.headers.get("set-cookie", "")


async def test_a_provider_that_is_away_is_a_page_too(client, provider):
    provider.instead["/token"] = lambda answer: answer.break_off()
    back = provider.visited((await begun(client)).headers["location"])
    response = await client.get(f"{ANSWER}?{urlencode(back)}", follow_redirects=False)
    assert response.status_code == 503
    assert "does not answer this box" in response.text


async def test_another_browser_cannot_use_the_answer(app, client, provider):
    back = provider.visited((await begun(client)).headers["location"])
    async with AsyncTestClient(app) as other:
        response = await other.get(f"{ANSWER}?{urlencode(back)}", follow_redirects=False)
    assert response.status_code == 401
    assert "set-cookie" not in response.headers


async def test_who_comes_back_is_signed_in_and_led_on_by_a_page(appliance, client, provider):
    """A redirect would not do: after another site's, browsers keep a strict cookie to themselves."""
    back = provider.visited((await begun(client, "/sign-in/provider?next=/documents")).headers["location"])
    response = await client.get(f"{ANSWER}?{urlencode(back)}", follow_redirects=False)
    assert response.status_code == 200
    assert 'href="/documents"' in response.text
    cookies = response.headers.get_list("set-cookie")
    session = next(cookie for cookie in cookies if cookie.startswith("cloister="))
    assert {"HttpOnly", "SameSite=strict"} <= set(session.split("; "))
    assert any(cookie.startswith("cloister-provider=") and "Max-Age=0" in cookie for cookie in cookies)
    assert (await client.get("/documents", follow_redirects=False)).status_code == 200


@pytest.mark.parametrize("target", ["https://evil.example.org", "//evil.example.org", "/admin/people", "javascript:alert(1)"])
async def test_nobody_is_led_elsewhere(client, provider, target):
    location = (await begun(client, f"/sign-in/provider?{urlencode({'next': target})}")).headers["location"]
    response = await client.get(f"{ANSWER}?{urlencode(provider.visited(location))}", follow_redirects=False)
    assert 'href="/chat"' in response.text
    assert target not in response.text


@pytest.mark.parametrize("rest", ["x" * 20_000, "\u8a9e" * 980])
async def test_a_page_with_a_long_name_is_forgotten_rather_than_the_try(client, provider, rest):
    response = await begun(client, f"/sign-in/provider?{urlencode({'next': '/documents?' + rest})}")
    assert len(response.headers["set-cookie"]) < 4_096
    back = await client.get(f"{ANSWER}?{urlencode(provider.visited(response.headers['location']))}", follow_redirects=False)
    assert 'href="/chat"' in back.text


async def test_who_is_signed_in_already_is_not_sent_away(signed_in, provider, bob):
    async with signed_in("bob") as client:
        assert (await begun(client)).headers["location"] == "/chat"


async def test_a_page_that_needs_a_session_still_leads_to_the_door(client, provider):
    response = await client.get("/documents", follow_redirects=False)
    assert response.headers["location"].startswith("/sign-in?next=")


async def test_administrators_let_people_in_and_unlink_them(signed_in, provider, alice, bob):
    async with signed_in("administrator") as client:
        allowed = await client.post(f"/api/people/{bob.id}/provider")
        assert (allowed.status_code, allowed.json()["provider"]) == (200, "allowed")
        unlinked = await client.delete(f"/api/people/{bob.id}/provider")
        assert (unlinked.status_code, unlinked.json()["provider"]) == (200, "")


async def test_others_do_not(signed_in, provider, alice, bob):
    async with signed_in("bob") as client:
        for ask in (client.post, client.delete):
            assert (await ask(f"/api/people/{alice.id}/provider")).status_code == 403
