"""One's own account in a browser: a second factor set up, asked for, lost, required."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from appliance.identity.models import Role
from tests.conftest import PASSWORD
from tests.factor_samples import Phone, StillClock, enrol


@pytest.fixture
def clock(box) -> StillClock:
    return StillClock().of(box.appliance)


def begin(page, clock) -> tuple:
    """The section while the picture is shown, and a phone that scanned it."""
    page.get_by_role("button", name="Set it up").click()
    section = page.locator("#second-factor")
    expect(section.get_by_role("img", name="QR code")).to_be_visible()
    return section, Phone(section.locator("code.secret").inner_text().replace(" ", ""), clock)


def test_a_second_factor_is_set_up_and_asked_for(box, page, clock):
    box.person("keeper")
    box.let_in(page, "keeper", "/account")
    section, phone = begin(page, clock)
    expect(section.get_by_label("Current password")).to_be_focused()
    section.get_by_label("Current password").fill("not this one")
    section.get_by_label("Code that the app shows").fill(phone.code())
    page.keyboard.press("Enter")
    expect(section.get_by_role("alert")).to_have_text("The current password is wrong.")
    section.get_by_label("Current password").fill(PASSWORD)
    section.get_by_label("Code that the app shows").fill(phone.wrong_code())
    page.keyboard.press("Enter")
    expect(section.get_by_role("alert")).to_contain_text("not the code that the app should show")
    section.get_by_label("Code that the app shows").fill(phone.code())
    page.keyboard.press("Enter")
    expect(section.get_by_role("listitem")).to_have_count(10)
    expect(section.get_by_role("button", name="I have kept them")).to_be_focused()
    paper = section.get_by_role("listitem").all_inner_texts()
    page.keyboard.press("Enter")
    expect(section).to_contain_text("10 recovery codes left")
    page.reload()
    expect(page.locator("#second-factor")).to_contain_text("10 recovery codes left")
    assert paper[0] not in page.content()

    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url(f"{box.url}/sign-in")
    clock.turn()
    page.get_by_label("Name").fill("keeper")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.keyboard.press("Enter")
    code = page.get_by_label("Code that your app shows")
    expect(code).to_be_focused()
    assert [code.get_attribute(name) for name in ("autocomplete", "inputmode")] == ["one-time-code", "numeric"]
    expect(page.get_by_label("Name")).to_be_hidden()
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("Please enter the code.")
    page.keyboard.type(phone.wrong_code())
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("This code is wrong")
    page.keyboard.type(phone.code())  # what was wrong is selected
    page.keyboard.press("Enter")
    page.wait_for_url(f"{box.url}/chat")


def test_without_the_phone_a_recovery_code_opens_the_door_once_and_switches_it_off(box, page, clock):
    phone = enrol(box.appliance, box.person("keeper"), clock)
    for expected in ("/chat", "alert"):
        page.goto(f"{box.url}/sign-in")
        page.get_by_label("Name").fill("keeper")
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Use a recovery code").click()
        code = page.get_by_label("Recovery code")
        expect(code).to_be_focused()
        assert code.evaluate("input => input.inputMode") == "text"
        code.fill(phone.recovery_codes[0].upper().replace("-", " "))
        page.keyboard.press("Enter")
        if expected == "alert":
            expect(page.get_by_role("alert")).to_contain_text("was used already")
            break
        page.wait_for_url(f"{box.url}{expected}")
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url(f"{box.url}/sign-in")
    page.get_by_role("button", name="Sign in as somebody else").click()
    expect(page.get_by_label("Name")).to_be_visible()
    page.get_by_label("Password", exact=True).press("Enter")
    page.get_by_label("Code that your app shows").fill(phone.next_code())
    page.keyboard.press("Enter")
    page.wait_for_url(f"{box.url}/chat")

    page.get_by_role("link", name="keeper").click()
    expect(page.locator("#second-factor")).to_contain_text("9 recovery codes left")
    page.get_by_role("button", name="New recovery codes").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Current password").fill(PASSWORD)
    dialog.get_by_label("Code of your app").fill(phone.next_code())
    dialog.get_by_role("button", name="Make new ones").click()
    fresh = page.locator(".recovery-codes li")
    expect(fresh).to_have_count(10)
    last = fresh.last.inner_text()
    page.get_by_role("button", name="I have kept them").click()
    page.get_by_role("button", name="Switch off").click()
    dialog.get_by_label("Current password").fill(PASSWORD)
    dialog.get_by_label("Code of your app").fill(phone.recovery_codes[1])
    dialog.get_by_role("button", name="Switch off").click()
    expect(dialog.get_by_role("alert")).to_contain_text("This code is wrong")
    dialog.get_by_label("Code of your app").fill(last)
    dialog.get_by_role("button", name="Switch off").click()
    expect(dialog).to_have_count(0)
    expect(page.locator("#second-factor")).to_contain_text("Off.")
    page.get_by_role("button", name="Sign out").click()  # a change, so the page has the token of the new session
    page.wait_for_url(f"{box.url}/sign-in")


def test_whose_role_needs_one_is_led_to_it_and_no_further(box, page, clock):
    box.person("keeper")
    box.appliance.factors._required = frozenset({Role.EMPLOYEE})
    box.sign_in(page, "keeper")
    page.wait_for_url(f"{box.url}/account")
    for path in ("/documents", "/chat", "/"):
        page.goto(box.url + path)
        page.wait_for_url(f"{box.url}/account")
    expect(page.locator("main")).to_contain_text("Your role needs a second factor.")
    expect(page.locator("#password-form")).to_have_count(0)
    expect(page.get_by_role("navigation")).to_have_count(0)
    section, phone = begin(page, clock)
    section.get_by_label("Current password").fill(PASSWORD)
    section.get_by_label("Code that the app shows").fill(phone.code())
    page.keyboard.press("Enter")
    section.get_by_role("button", name="I have kept them").click()
    page.wait_for_url(f"{box.url}/chat")
    expect(page.get_by_role("navigation", name="Main")).to_be_visible()


def test_an_administrator_removes_that_of_somebody_who_lost_the_phone(box, page, clock):
    keeper = box.person("keeper")
    enrol(box.appliance, keeper, clock)
    enrol(box.appliance, box.administrator, clock)
    clock.turn()
    with box.appliance.database.write() as connection:
        token = "t" * 43
        box.appliance.sessions._insert(connection, box.administrator, token)
    page.context.add_cookies([{"name": "cloister", "value": token, "url": box.url, "httpOnly": True, "sameSite": "Strict"}])
    page.goto(f"{box.url}/admin/people")
    expect(page.get_by_role("button", name="Remove second factor: administrator")).to_have_count(0)
    row = page.get_by_role("row", name=re.compile("keeper"))
    expect(row.get_by_role("cell", name="active second factor", exact=True)).to_have_count(1)
    row.get_by_role("button", name="Remove second factor: keeper").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(row.get_by_role("cell", name="active", exact=True)).to_have_count(1)
    expect(row.get_by_role("button", name="Remove second factor: keeper")).to_have_count(0)
    assert box.appliance.sessions.sign_in("keeper", PASSWORD, "test")
