"""A person makes an API key on their page, sees it once, and ends it; an administrator ends those of somebody else."""

from __future__ import annotations

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.conftest import PASSWORD

pytestmark = pytest.mark.browser


def section(page: Page):
    return page.get_by_role("region", name="API keys")


def test_a_key_is_made_shown_once_used_and_ended(box, page: Page) -> None:
    carol = box.person("carol")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=box.url)
    box.let_in(page, "carol", "/account")
    keys, dialog = section(page), page.get_by_role("dialog")
    expect(keys.get_by_role("table")).to_have_count(0)
    keys.get_by_role("button", name="Make a key").click()
    expect(dialog.get_by_label("Ends after")).to_have_value("90")
    expect(dialog.get_by_label("Code of your app")).to_have_count(0)
    dialog.get_by_label("Name", exact=True).fill("Nightly import")
    dialog.get_by_label("Current password").fill("not the one at all")
    dialog.get_by_role("button", name="Make it").click()
    expect(dialog.get_by_role("alert")).to_have_text("Choose what the key is for.")
    dialog.get_by_role("checkbox", name="Documents sees").check()
    dialog.get_by_role("button", name="Make it").click()
    expect(dialog.get_by_role("alert")).to_have_text("The current password is wrong.")
    dialog.get_by_label("Current password").fill(PASSWORD)
    dialog.get_by_role("button", name="Make it").click()
    expect(dialog).to_have_count(0)
    told = keys.get_by_role("status")
    expect(told).to_contain_text("it is not shown again")
    text = told.locator("code").inner_text()
    keys.get_by_role("button", name="Copy").click()
    expect(page.get_by_text("Copied.")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == text
    bearer = {"Authorization": f"Bearer {text}"}
    assert httpx.get(f"{box.url}/api/collections", headers=bearer).status_code == 200
    assert httpx.post(f"{box.url}/api/conversations", headers=bearer, json={}).status_code == 403

    page.reload()
    row = keys.get_by_role("row", name="Nightly import")
    expect(row).to_contain_text("Documents")
    expect(row).not_to_contain_text("never")
    assert text[-64:] not in page.content()
    row.get_by_role("button", name="End: Nightly import").click()
    expect(dialog).to_contain_text("refused from its next request on")
    dialog.get_by_role("button", name="End", exact=True).click()
    expect(row).to_have_count(0)
    assert httpx.get(f"{box.url}/api/collections", headers=bearer).status_code == 401
    assert box.appliance.api_keys.list(carol) == []


def test_a_new_password_ends_the_keys_before_the_eyes_of_their_person(box, page: Page) -> None:
    carol = box.person("carol")
    box.appliance.api_keys.create(carol, PASSWORD, "Nightly import", ["ask"])
    box.let_in(page, "carol", "/account")
    expect(section(page).get_by_role("row", name="Nightly import")).to_be_visible()
    page.get_by_label("Current password").fill(PASSWORD)
    page.get_by_label("New password", exact=True).fill("another long passphrase")
    page.get_by_label("The new password again").fill("another long passphrase")
    page.get_by_role("button", name="Change").click()
    expect(section(page).get_by_role("row", name="Nightly import")).to_have_count(0)
    expect(section(page).get_by_role("button", name="Make a key")).to_be_visible()


def test_who_may_make_none_and_has_none_is_told_nothing_of_keys(box, page: Page) -> None:
    box.set_up()
    box.person("olga", "officer")
    box.let_in(page, "olga", "/account")
    expect(page.get_by_role("heading", name="Second factor")).to_be_visible()
    page.wait_for_load_state("networkidle")
    expect(section(page)).to_have_count(0)


def test_an_administrator_ends_all_keys_of_a_person(box, page: Page) -> None:
    box.set_up()
    carol = box.person("carol")
    for name in ("One", "Two"):
        box.appliance.api_keys.create(carol, PASSWORD, name, ["ask"])
    box.let_in(page, "administrator", "/admin/people")
    row = page.locator(f"tr[data-person='{carol.id}']")
    expect(row).to_contain_text("2 API keys")
    expect(page.get_by_role("button", name="End API keys")).to_have_count(1)
    row.get_by_role("button", name="End API keys: carol").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("End 2 API keys of carol?")
    dialog.get_by_role("button", name="End", exact=True).click()
    expect(row).not_to_contain_text("API key")
    assert box.appliance.api_keys.list(carol) == []


def test_an_officer_sees_what_was_done_by_a_key_and_asks_for_all_of_it(box, page: Page) -> None:
    carol = box.person("carol")
    box.person("olga", "officer")
    key, text = box.appliance.api_keys.create(carol, PASSWORD, "Nightly import", ["ask"])
    bearer = {"Authorization": f"Bearer {text}"}
    assert httpx.post(f"{box.url}/api/conversations", headers=bearer, json={}).status_code == 201
    box.let_in(page, "olga", "/audit")
    row = page.get_by_role("row").filter(has_text="conversation.created")
    expect(row).to_contain_text("carol")
    row.get_by_role("button", name="key ").click()
    expect(page.get_by_label("Document or API key id")).to_have_value(key.id)
    rows = page.locator("tr[data-seq]")
    expect(rows).to_have_count(2)
    expect(rows.nth(1)).to_contain_text("key.created")
