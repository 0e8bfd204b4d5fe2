"""Set-up and sign-in in a real browser; colours that can be read by everybody."""

from __future__ import annotations

import itertools

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser
PASSWORD = "a long enough passphrase"

READABLE = [(text, ground) for text, ground in itertools.product(("--ink", "--muted"), ("--paper", "--surface", "--sunken"))] + [
    ("--accent-ink", "--accent-soft"),
    ("--ink", "--accent-soft"),
    ("--ink", "--mark"),
    ("--on-accent", "--accent"),
    ("--on-accent", "--accent-hover"),
    ("--danger", "--surface"),
    ("--danger", "--danger-soft"),
    ("--warn", "--warn-soft"),
    ("--ok", "--ok-soft"),
]
CONTRAST = """(pairs) => {
  const style = getComputedStyle(document.documentElement);
  const light = (name) => {
    const hex = style.getPropertyValue(name).trim().slice(1);
    const parts = [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255);
    const [r, g, b] = parts.map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  return pairs.map(([one, other]) => {
    const [dark, bright] = [light(one), light(other)].sort((a, b) => a - b);
    return (bright + 0.05) / (dark + 0.05);
  });
}"""


def test_the_first_administrator_comes_in_by_the_link(box, page):
    page.goto(f"{box.url}/setup?token={box.appliance.setup.make_link()}")
    page.get_by_label("Your name").fill("administrator")
    password, again = page.get_by_label("Password", exact=True), page.get_by_label("The password again")
    password.fill("short")
    expect(page.locator("#strength")).to_have_text("7 more characters needed.")
    page.get_by_role("button", name="Set up this box").click()
    expect(page.get_by_role("alert")).to_have_text("Please fill in all fields.")
    for weak in ("passwordpassword", "Welcome-Admin-1234", "123456789012"):
        password.fill(weak)
        expect(page.locator("#strength")).to_have_text("Weak: easy to guess.")
    again.fill("passwordpasswort")
    password.fill("passwordpassword")
    page.get_by_role("button", name="Set up this box").click()
    expect(page.get_by_text("The two passwords differ.")).to_have_count(1)
    expect(again).to_be_focused()
    again.fill("passwordpassword")
    page.get_by_role("button", name="Set up this box").click()
    expect(page.get_by_role("alert")).to_contain_text("easy to guess")
    password.fill(PASSWORD)
    expect(page.get_by_role("alert")).to_have_count(0)
    expect(page.locator("#strength")).to_have_text("Very good.")
    again.fill("something else")
    expect(page.locator("#repeated-hint")).to_have_text("The two passwords differ.")
    again.fill(PASSWORD)
    expect(page.get_by_label("Load the sample handbook")).to_be_checked()
    page.get_by_role("button", name="Set up this box").click()
    page.wait_for_url(f"{box.url}/chat")
    box.queue.settle()
    page.reload()
    expect(page.get_by_role("list", name="Questions to try").get_by_role("button")).to_have_count(4)
    expect(page.get_by_text("Answers come from the 10 documents you may read")).to_be_visible()
    page.goto(f"{box.url}/setup")
    page.wait_for_url(f"{box.url}/chat")


def test_a_spent_link_says_so(box, page):
    box.set_up()
    page.goto(f"{box.url}/setup?token=spent")
    expect(page.get_by_role("heading", name="This link was used")).to_be_visible()
    page.get_by_role("link", name="Sign in").click()
    page.wait_for_url(f"{box.url}/sign-in")


def test_signing_in_and_out(box, page):
    box.person("keeper")
    page.goto(f"{box.url}/documents")
    page.wait_for_url(f"{box.url}/sign-in?next=%2Fdocuments")
    expect(page.get_by_label("Name")).to_be_focused()
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_have_text("Please fill in both fields.")
    page.get_by_label("Name").fill("keeper")
    page.get_by_label("Password", exact=True).fill("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("The name or the password is wrong.")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{box.url}/documents")
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url(f"{box.url}/sign-in")
    page.go_back()
    page.wait_for_url("**/sign-in**")


def test_a_person_changes_their_own_password_and_goes_on(box, page):
    box.person("keeper")
    box.let_in(page, "keeper", "/documents")
    page.get_by_role("link", name="keeper").click()
    page.wait_for_url(f"{box.url}/account")
    form = page.locator("#password-form")
    form.get_by_label("Current password").fill("not this one")
    form.get_by_label("New password", exact=True).fill("a wholly different phrase")
    form.get_by_label("The new password again").fill("a wholly different phrase")
    form.get_by_role("button", name="Change").click()
    expect(form.get_by_role("alert")).to_have_text("The current password is wrong.")
    form.get_by_label("Current password").fill(PASSWORD)
    form.get_by_role("button", name="Change").click()
    expect(page.locator(".toast")).to_contain_text("Your password was changed.")
    expect(form.get_by_label("Current password")).to_have_value("")
    page.get_by_role("button", name="Sign out").click()  # a change, so the page has the token of the new session
    page.wait_for_url(f"{box.url}/sign-in")


def test_the_keyboard_reaches_the_content_first(box, page):
    box.person("keeper")
    box.let_in(page, "keeper", "/documents")
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(box, open_page, scheme):
    page = open_page(color_scheme=scheme)
    page.goto(f"{box.url}/sign-in")
    ratios = page.evaluate(CONTRAST, [list(pair) for pair in READABLE])
    weak = {pair: round(ratio, 2) for pair, ratio in zip(READABLE, ratios, strict=True) if ratio < 4.5}
    assert weak == {}
