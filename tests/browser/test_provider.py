"""Signing in through the identity provider, in a browser that goes there by itself: a page of another site lies between."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.identity_providers import FakeProvider, standing_provider

pytestmark = pytest.mark.browser


@pytest.fixture
def provider(box) -> Iterator[FakeProvider]:
    box.person("alice")
    # another site than the box's 127.0.0.1, as it is in life: what is same-site only is not sent along
    with standing_provider(box.appliance, own_address=box.url) as fake:
        fake.asks_people = True
        policy = box.appliance.provider_sign_in._provider
        elsewhere = policy.authorization_endpoint.replace("127.0.0.1", "localhost")
        object.__setattr__(policy, "authorization_endpoint", elsewhere)
        yield fake


@pytest.fixture
def window(open_page: Callable[..., Page], provider: FakeProvider) -> Page:
    return open_page(also=f"http://localhost:{provider.server.port}/")


def test_without_a_provider_the_door_has_one_way_in(box, page: Page) -> None:
    box.person("alice")
    page.goto(f"{box.url}/sign-in")
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    expect(page.get_by_text("Sign in with")).to_have_count(0)
    box.let_in(page, "administrator", "/admin/people")
    expect(page.get_by_role("button", name="Roles: alice")).to_be_visible()
    expect(page.get_by_text("Let in by provider")).to_have_count(0)


def test_who_is_not_let_in_reads_why_in_our_words(box, window: Page, provider: FakeProvider) -> None:
    window.goto(f"{box.url}/sign-in")
    window.get_by_role("link", name="Sign in with Example ID").click()
    window.get_by_role("link", name="Go on").click()
    expect(window.get_by_role("heading", name="You are not let in with this account.")).to_be_visible()
    window.get_by_role("link", name="Back to the start").click()
    expect(window.get_by_role("heading", name="Sign in")).to_be_visible()


def test_an_administrator_lets_somebody_in_and_they_come(
    box, window: Page, provider: FakeProvider, open_page: Callable[..., Page]
) -> None:
    office = open_page()
    box.let_in(office, "administrator", "/admin/people")
    office.get_by_role("button", name="Let in by provider: alice").click()
    expect(office.get_by_text("Whoever Example ID calls alice at the first sign-in")).to_be_visible()
    office.get_by_role("button", name="Let in", exact=True).click()
    expect(office.get_by_text("by provider, not yet seen")).to_be_visible()

    window.goto(f"{box.url}/documents")  # leads to the door
    window.get_by_role("link", name="Sign in with Example ID").click()
    window.get_by_role("link", name="Go on").click()
    window.wait_for_url(f"{box.url}/documents")
    expect(window.get_by_title("Signed in as alice; your account")).to_be_visible()
    window.go_back()
    assert "code=" not in window.url, "the code stayed in the history"

    window.goto(f"{box.url}/account")
    expect(window.get_by_role("heading", name="How you sign in")).to_be_visible()
    expect(window.get_by_label("Current password")).to_have_count(0)
    window.get_by_role("button", name="Sign out").click()
    expect(window.get_by_role("heading", name="Sign in")).to_be_visible()

    office.reload()
    office.get_by_role("button", name="Unlink: alice").click()
    office.get_by_role("button", name="Unlink", exact=True).click()
    expect(office.get_by_role("button", name="Let in by provider: alice")).to_be_visible()
    window.get_by_role("link", name="Sign in with Example ID").click()
    window.get_by_role("link", name="Go on").click()
    expect(window.get_by_role("heading", name="You are not let in with this account.")).to_be_visible()
