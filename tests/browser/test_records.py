"""The officer's log and the administrator's pages, as a person meets them."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from appliance.egress.seal.reports import note_outside, report_own
from appliance.identity.models import Role

pytestmark = pytest.mark.browser

UNNAMED = """() => [...document.querySelectorAll('main input, main select, main button, main a')]
  .filter((e) => e.checkVisibility() && !(e.labels?.length || e.getAttribute('aria-label') || e.textContent.trim()))
  .map((e) => e.outerHTML)"""

LINES = (
    "(cell) => { const range = document.createRange(); range.selectNodeContents(cell); return range.getClientRects().length; }"
)


def test_an_officer_filters_opens_and_exports(box, page: Page, tmp_path: Path) -> None:
    alice = box.person("alice")
    box.person("officer", Role.OFFICER)
    document = box.upload(alice, "plan.txt", b"The plan of the harbour.")
    box.appliance.chat.ask(alice, box.appliance.chat.create_conversation(alice).id, "What does the plan show?")
    box.sign_in(page, "officer")
    page.goto(f"{box.url}/audit")
    rows = page.locator("tr[data-seq]")
    expect(rows.first).to_be_visible()

    page.get_by_label("Person").select_option(label="alice")
    page.get_by_label("Event").select_option("document.uploaded")
    page.get_by_role("button", name="Apply").click()
    expect(rows).to_have_count(1)
    rows.first.locator(".expander").click()
    details = page.locator(".audit-details")
    expect(details.locator(".canonical")).to_contain_text('"action": "document.uploaded"')
    assert len(details.locator(".leaf-hash").inner_text()) == 64
    expect(details.locator("dl")).to_contain_text(document)
    expect(details.locator(".canonical")).to_be_hidden()
    details.get_by_role("button", name="Disclose name").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    expect(details.locator(".disclosed .pairs")).to_have_count(0)
    details.get_by_role("button", name="Disclose name").click()
    page.get_by_role("dialog").get_by_role("button", name="Disclose").click()
    expect(details.locator(".disclosed .pairs")).to_contain_text("plan.txt")

    rows.first.get_by_role("button", name="document").click()
    expect(page.get_by_label("Document or API key id")).to_have_value(document)
    page.get_by_label("Person").select_option("")
    page.get_by_label("Event").select_option("")
    page.get_by_role("button", name="Apply").click()
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("document.ingested")
    with page.expect_download() as download:
        page.get_by_role("link", name="Export CSV").click()
    file = tmp_path / "export.csv"
    download.value.save_as(file)
    assert download.value.suggested_filename.endswith(".csv")
    assert [row["event"] for row in csv.DictReader(file.open())] == ["document.uploaded", "document.ingested"]

    page.get_by_role("button", name="Clear").click()
    page.get_by_label("Event").select_option("question.asked")
    page.get_by_role("button", name="Apply").click()
    expect(rows).to_have_count(1)
    expect(rows.locator(".audit-about")).to_contain_text(re.compile(r"conversation \w+….*question \w+….*answer \w+…"))
    page.get_by_label("Event").select_option("audit.exported")
    page.get_by_role("button", name="Apply").click()
    expect(rows).to_have_count(1)
    expect(rows.first).to_contain_text("officer")
    assert page.evaluate(UNNAMED) == []


def test_until_holds_its_whole_minute_and_lies_after_from(box, page: Page) -> None:
    box.person("officer", Role.OFFICER)
    box.sign_in(page, "officer")
    page.goto(f"{box.url}/audit")
    rows, start, until = page.locator("tr[data-seq]"), page.get_by_label("From"), page.get_by_label("Until")
    expect(rows.first).to_be_visible()
    begun = rows.last.locator("time").get_attribute("datetime")
    minute = page.evaluate(
        "(t) => { const d = new Date(t); return new Date(d - d.getTimezoneOffset() * 60e3).toISOString().slice(0, 16); }", begun
    )
    start.fill("2999-01-01T00:00")
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_role("heading", name="No entry matches")).to_be_visible()
    until.fill(minute)
    page.get_by_role("button", name="Apply").click()
    assert "nothing can match" in until.evaluate("(field) => field.validationMessage")
    start.fill(minute)
    page.get_by_role("button", name="Apply").click()
    expect(page.locator(f"time[datetime='{begun}']").first).to_be_visible()


def test_an_administrator_adds_people_and_opens_a_collection(box, open_page) -> None:
    box.person("auditor", Role.OFFICER)
    page = open_page()
    box.sign_in(page, "administrator")
    page.goto(f"{box.url}/admin/people")
    page.get_by_role("button", name="Add a person").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name to sign in with").fill("night porter")
    dialog.get_by_label("Password").fill("a long enough passphrase")
    expect(dialog.get_by_label("Password")).to_have_attribute("type", "password")
    dialog.get_by_role("button", name="Show").click()
    expect(dialog.get_by_label("Password")).to_have_attribute("type", "text")
    dialog.get_by_label("Compliance officer").check()
    dialog.get_by_label("Administrator").check()
    dialog.get_by_role("button", name="Add").click()
    expect(dialog.get_by_role("alert")).to_contain_text("officer")
    dialog.get_by_label("Compliance officer").uncheck()
    dialog.get_by_label("Administrator").uncheck()
    dialog.get_by_role("button", name="Add").click()
    row = page.locator("tr[data-person]", has_text="night porter")
    expect(row).to_contain_text("employee")

    page.get_by_role("link", name="Collections").click()
    expect(page.locator("#personal")).to_contain_text("night porter")
    expect(page.locator("#personal")).not_to_contain_text("auditor")  # who can put nothing in theirs
    page.set_viewport_size({"width": 360, "height": 740})
    page.get_by_role("button", name="New collection").click()
    assert page.get_by_role("cell", name="Everyone", exact=True).evaluate(LINES) == 1, "the name breaks inside a word"
    page.set_viewport_size({"width": 1280, "height": 800})
    page.get_by_label("Name").fill("House rules")
    page.get_by_label("Everyone may read").check()
    page.get_by_label("night porter may contribute").check()
    expect(page.get_by_label("night porter may read")).to_be_checked()
    page.get_by_role("dialog").get_by_role("button", name="Create").click()
    expect(page.locator("tr[data-collection]", has_text="House rules")).to_contain_text("Everyone")

    porter = open_page(viewport={"width": 360, "height": 740})
    box.sign_in(porter, "night porter")
    porter.goto(f"{box.url}/documents")
    porter.get_by_label("Collection").select_option(label="House rules")
    expect(porter.get_by_text("Choose files")).to_be_visible()

    page.goto(f"{box.url}/admin/people")
    row.get_by_role("button", name="Disable").click()
    page.get_by_role("dialog").get_by_role("button", name="Disable").click()
    expect(row).to_contain_text("disabled")
    page.set_viewport_size({"width": 360, "height": 740})
    for path in ("/admin/people", "/admin/groups", "/admin/collections", "/admin/models", "/admin/box", "/documents"):
        page.goto(box.url + path)
        page.wait_for_timeout(700)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        assert page.evaluate(UNNAMED) == [], path


def test_administrators_and_officers_see_which_layers_are_missing(box, page: Page) -> None:
    box.person("officer", Role.OFFICER)
    box.sign_in(page, "officer")
    page.goto(f"{box.url}/audit")
    card = page.locator("#seal-card")
    assert card.locator(".notice").count() == 0  # not asked for before it is opened
    card.locator("summary").click()
    expect(card.locator(".notice")).to_contain_text("may be able to reach other machines")

    run_dir = box.appliance.settings.run_dir
    note_outside(run_dir, {"": "the kernel refuses"})
    report_own(run_dir, "stray")
    report_own(run_dir, "gate")
    page.context.clear_cookies()
    box.sign_in(page, "administrator")
    page.goto(f"{box.url}/admin/box")
    row = page.locator("tr[data-sealed=stray]")
    expect(row.locator(".badge.bad").first).to_contain_text("shares the network of the machine")
    expect(row).to_contain_text("(the kernel refuses)")
    expect(page.locator("#seal .notice.warn")).to_contain_text("gaps")
    # the gate has a network by nature, which is said and is no gap; what else it lacks is one
    gate = page.locator("tr[data-sealed=gate]")
    expect(gate).to_contain_text("Not sealed: its work is to call the machines")
    expect(gate).not_to_contain_text("shares the network of the machine")
    expect(gate.locator(".badge.bad").first).to_be_visible()
    expect(page.locator("#seal .meter")).to_contain_text("none: nothing may leave")
