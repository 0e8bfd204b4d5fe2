"""On the officer's page people are held, and what is sealed of those who left is erased."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from appliance.identity.models import Role

pytestmark = pytest.mark.browser


def test_an_officer_holds_lifts_and_erases_and_is_told_what_remains(box, page: Page) -> None:
    box.person("officer", Role.OFFICER)
    alice, _ = box.person("alice"), box.person("bob")
    box.upload(alice, "plan.txt", b"A plan of the harbour.")
    box.appliance.people.update(box.administrator, alice.id, disabled=True)
    box.appliance.people.delete(box.administrator, alice.id, conversations=0, documents=1)
    box.sign_in(page, "officer")
    page.goto(f"{box.url}/audit")
    with page.expect_download():
        page.get_by_role("link", name="Export CSV").click()
    card = page.locator("#holds-card")
    card.locator("summary").click()
    expect(card).to_contain_text("Nobody is held.")
    expect(card).to_contain_text("3 values sealed")

    card.get_by_role("button", name="Hold a person").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Person").select_option(alice.pseudonym)
    dialog.get_by_role("button", name="Hold").click()
    assert dialog.get_by_label("Reason").evaluate("(field) => field.validationMessage") != ""
    dialog.get_by_label("Reason").fill("a claim of March")
    dialog.get_by_role("button", name="Hold").click()
    short = f"{alice.pseudonym[:8]}…"
    expect(card.get_by_role("button", name=f"Lift: deleted account {short}")).to_be_visible()
    expect(card.get_by_role("button", name="Erase")).to_have_count(0)
    expect(card).not_to_contain_text("a claim of March")

    card.get_by_role("button", name="Lift").click()
    dialog.get_by_label("Reason").fill("settled")
    dialog.get_by_role("button", name="Lift").click()
    card.get_by_role("button", name=f"Erase: {short}").click()
    expect(dialog).to_contain_text("3 sealed values")
    dialog.get_by_label("Reason").fill("asked for it")
    dialog.get_by_role("button", name="Erase").click()
    remains = page.get_by_role("dialog", name="What was erased")
    expect(remains).to_contain_text("3 values of entries")
    expect(remains).to_contain_text("exports: csv ")
    remains.get_by_role("button", name="Close").click()
    expect(card).to_contain_text("Nothing is sealed of any deleted account.")
