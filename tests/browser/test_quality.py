"""Judging an answer, and the page on which administrators see how the box answers."""

from __future__ import annotations

import json
import re
import secrets

import pytest
from playwright.sync_api import expect
from sqlalchemy import insert

from appliance.quality.hours import through
from appliance.storage import tables
from appliance.storage.clock import now_ms

pytestmark = pytest.mark.browser

HOUR = 3_600_000
LIGHTHOUSE = b"The lighthouse is open to visitors on Fridays between ten and four."
UNNAMED = """() => [...document.querySelectorAll('main input, main textarea, main select, main button, main a')]
  .filter((e) => e.checkVisibility() && !(e.labels?.length || e.getAttribute('aria-label') || e.textContent.trim()))
  .map((e) => e.outerHTML)"""


def store_past(box, person, hours: int = 7 * 24) -> None:
    """Questions of the last days: calm until yesterday, then every second one is met with silence."""
    conversation, until = secrets.token_hex(16), through(now_ms())
    rows = []
    for back in range(1, hours):
        for each in range(2):
            at, silent = until - back * HOUR + each, back <= 24 and each == 0
            common = {"conversation_id": conversation, "created_ms": at, "finished_ms": at, "status": "DONE"}
            blank = {"finish_reason": None, "timing": "{}", "best_score": None}
            rows.append(common | blank | {"id": secrets.token_hex(16), "ordinal": len(rows), "role": "user"})
            timing = {"wait_ms": 40, "total_ms": 2_000 + 400 * (back % 7)} | (
                {} if silent else {"first_delta_ms": 90 + 30 * (back % 5)}
            )
            answer = {"finish_reason": "abstained" if silent else "stop", "timing": json.dumps(timing)}
            answer |= {"best_score": 9.0 if silent else 18.0 + back % 4}
            rows.append(common | answer | {"id": secrets.token_hex(16), "ordinal": len(rows), "role": "assistant"})
    with box.appliance.database.write() as connection:
        own = {"id": conversation, "principal_id": person.id, "title": "Past", "created_ms": 1, "updated_ms": 1}
        connection.execute(insert(tables.conversations).values(own))
        connection.execute(insert(tables.messages), rows)
    box.appliance.quality.record()


def test_an_answer_is_judged_with_the_keyboard_and_taken_back(box, page, open_page) -> None:
    keeper = box.person("keeper")
    box.upload(keeper, "lighthouse.md", LIGHTHOUSE)
    box.let_in(page, "keeper")
    page.get_by_label("Your question").fill("When is the lighthouse open to visitors?")
    page.keyboard.press("Enter")
    answer = page.locator(".answer")
    helpful, unhelpful = (answer.get_by_role("button", name=name, exact=True) for name in ("Helpful", "Not helpful"))
    expect(helpful).to_have_attribute("aria-pressed", "false")
    form = answer.get_by_role("form", name="Comment on this answer")
    helpful.focus()
    page.keyboard.press("Enter")
    expect(helpful).to_have_attribute("aria-pressed", "true")
    expect(form.get_by_role("radio")).to_have_count(0)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(unhelpful).to_have_attribute("aria-pressed", "true")
    expect(helpful).to_have_attribute("aria-pressed", "false")
    leave = form.get_by_label("Show the question and this answer to the administrators")
    expect(leave).not_to_be_checked()
    form.get_by_label("A source does not say it").check()
    form.get_by_label("Comment (optional)").fill("It was Thursdays last year.")
    assert page.evaluate(UNNAMED) == []
    form.get_by_role("button", name="Send").click()
    expect(form).to_be_hidden()
    expect(answer.get_by_role("status")).to_contain_text("Thank you")

    page.reload()
    expect(unhelpful).to_have_attribute("aria-pressed", "true")
    answer.get_by_role("button", name="Change the comment").click()
    expect(form.get_by_label("A source does not say it")).to_be_checked()
    expect(form.get_by_label("Comment (optional)")).to_have_value("It was Thursdays last year.")
    page.keyboard.press("Escape")  # the form has no focus yet: Escape of the page leaves it open
    leave.check()
    form.get_by_role("button", name="Send").click()
    expect(answer.get_by_role("status")).to_contain_text("can see the question")
    (voice,) = box.appliance.voices.read(box.administrator).page
    assert (voice.kind, voice.comment, voice.shown.question) == (
        "citation",
        "It was Thursdays last year.",
        "When is the lighthouse open to visitors?",
    )

    handbook = box.appliance.collections.create(box.administrator, "Handbook", readers=[f"principal:{box.administrator.id}"])
    golden = box.appliance.golden.create(box.administrator, handbook, "Harbour")
    office = open_page()
    box.let_in(office, "administrator", "/admin/quality")
    office.get_by_role("button", name="Add to a golden set").click()
    dialog = office.get_by_role("dialog")
    expect(dialog.get_by_label("Question", exact=True)).to_have_value("When is the lighthouse open to visitors?")
    dialog.get_by_label("Expected in the answer").fill("Fridays")
    dialog.get_by_role("button", name="Add").click()
    expect(office.locator("#toasts")).to_contain_text("part of Harbour now")
    assert [kept.expected.answers for kept in box.appliance.golden.questions(box.administrator, golden.id)[1]] == [("Fridays",)]

    unhelpful.click()
    expect(unhelpful).to_have_attribute("aria-pressed", "false")
    assert box.appliance.voices.read(box.administrator).page == []


def test_figures_are_plotted_with_tables_and_a_drift_is_said(box, page) -> None:
    alice = box.person("alice")
    store_past(box, alice)
    box.let_in(page, "administrator", "/admin/quality")
    notice = page.locator("#alerts [data-drift=abstentions]")
    expect(notice).to_contain_text("50% of the answers of the last day say that the documents do not contain the answer")
    plots = page.locator(".plot")
    expect(plots).to_have_count(8)
    silence = page.locator(".plot[data-measure=abstentions]")
    expect(silence.get_by_role("img")).to_have_attribute("aria-label", re.compile("between 0% and 50%"))
    silence.locator("summary").click()
    expect(silence.get_by_role("row")).to_have_count(7 * 24)  # with its head
    expect(silence.get_by_role("row").nth(1)).to_contain_text("50% (1 of 2)")
    expect(page.locator(".plot[data-measure=negative_feedback]")).to_contain_text("Nothing to measure")
    trade = page.get_by_role("table", name=re.compile("Silent where it should be"))
    expect(trade.locator("tbody tr")).to_have_count(len(box.appliance.measured_silence))
    expect(trade.locator("tbody tr").first.locator(".in-force")).to_have_text("65 % / 14 %")
    page.get_by_label("Show").select_option("day 30")
    expect(page.locator("#as-of")).to_contain_text("days are those of UTC")
    page.set_viewport_size({"width": 390, "height": 800})
    expect(plots.first.locator("svg.drawing")).to_be_visible()
    page.wait_for_function("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate(UNNAMED) == []
    page.goto(f"{box.url}/admin/box")
    expect(page.locator("#drifts")).to_contain_text("50% of the answers")
