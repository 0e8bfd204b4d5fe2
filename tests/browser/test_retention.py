"""How long things stay: set by an administrator on the pages, told to people where it is near."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from appliance.retention.clock import RetentionClock
from appliance.storage.clock import DAY_MS, now_ms
from tests.conftest import EVERYBODY

pytestmark = pytest.mark.browser


def told_after(box, monkeypatch: pytest.MonkeyPatch, days: int) -> None:
    """The box believes that so many days have passed."""
    clock = RetentionClock(box.appliance.database, "boot", lambda: now_ms() + days * DAY_MS)
    monkeypatch.setattr(box.appliance.retention, "_clock", clock)


def set_days(page: Page, number: str) -> None:
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Days since").fill(number)
    dialog.get_by_role("button", name="Continue").click()


def test_an_administrator_says_how_long_conversations_stay(box, page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    box.set_up()
    ana = box.person("ana")
    box.appliance.chat.create_conversation(ana)
    told_after(box, monkeypatch, 10)
    box.let_in(page, "administrator", "/admin/box")
    stay = page.locator("#stay")
    expect(stay).to_have_text("Conversations stay until their people delete them.")
    page.get_by_role("button", name="Change how long they stay").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Backups, copies that upgrades keep and exports of the audit log keep what they hold.")
    set_days(page, "7")
    expect(dialog).to_contain_text("Conversations are removed 7 days after their last message.")
    expect(dialog).to_contain_text("Nothing is removed by this number before")
    box.appliance.chat.create_conversation(ana)  # more than the person was told
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_be_visible()  # the browser asks for the box to be ticked
    dialog.get_by_label("Remove 1 conversation that is older already").check()
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.get_by_role("alert")).to_contain_text("2 conversations would go by that number")
    dialog.get_by_role("button", name="Cancel").click()
    expect(stay).to_have_text("Conversations stay until their people delete them.")

    page.get_by_role("button", name="Change how long they stay").click()
    set_days(page, "7")
    dialog.get_by_label("Remove 2 conversations that are older already").check()
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_have_count(0)
    expect(stay).to_contain_text("Conversations stay until their people delete them. From 20")
    expect(stay).to_contain_text("on: 7 days.")
    page.get_by_role("button", name="Change how long they stay").click()
    set_days(page, "")
    expect(dialog).to_contain_text("Conversations stay until somebody deletes them.")
    dialog.get_by_role("button", name="Save").click()
    expect(stay).to_have_text("Conversations stay until their people delete them.")


@pytest.mark.parametrize("width", [1280, 390])
def test_people_read_how_long_documents_and_conversations_stay(box, open_page, width: int) -> None:
    page = open_page(viewport={"width": width, "height": 800})
    administrator = box.set_up()
    ana = box.person("ana")
    shared = box.appliance.collections.create(administrator, "House rules", readers=EVERYBODY, contributors=EVERYBODY)
    document = box.upload(ana, "tides.txt", b"The lighthouse is open on Fridays.", shared)
    box.let_in(page, "administrator", "/admin/collections")
    row = page.locator(f"tr[data-collection='{shared}']")
    expect(row).to_contain_text("for good")
    row.get_by_role("button", name="How long documents of House rules stay").click()
    set_days(page, "20")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Documents are removed 20 days after their upload.")
    dialog.get_by_role("button", name="Save").click()
    expect(row).to_contain_text("20 days")
    box.appliance.retention.change(administrator, 20, going=0)

    box.let_in(page, "ana", f"/documents?collection={shared}")
    expect(page.locator("#stay")).to_have_text("Documents here are removed 20 days after upload.")
    expect(page.locator("#stay-upload")).to_have_text("Documents here are removed 20 days after upload.")
    end = page.locator(f"tr[data-document='{document}'] .end")
    expect(end).to_contain_text("to be removed 20")
    assert end.evaluate("element => element.getBoundingClientRect().right") < width
    page.get_by_label("Collection").select_option(box.own_collection(ana))
    expect(page.locator("#stay")).to_be_hidden()
    expect(page.locator("#stay-upload")).to_be_hidden()

    page.goto(f"{box.url}/chat")
    expect(page.locator("#end")).to_be_hidden()
    page.get_by_label("Your question").fill("When is the lighthouse open?")
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.locator(".answer")).to_contain_text("open on Fridays")
    expect(page.locator("#end")).to_be_hidden()
    box.queue.settle()
    page.reload()
    expect(page.locator("#end")).to_contain_text("This conversation is removed on 20")
    expect(page.locator("#end")).to_contain_text("unless you go on with it.")
    box.appliance.retention.change(administrator, 300, going=0)
    page.reload()
    expect(page.locator(".answer")).to_contain_text("open on Fridays")
    expect(page.locator("#end")).to_be_hidden()
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
