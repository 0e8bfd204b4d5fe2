"""Asking in a real browser: streaming, citations, stop, errors, keyboard."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

LIGHTHOUSE = b"""# The lighthouse

The lighthouse is open to visitors on Fridays between ten and four. Children under six may not climb the tower.

The keeper polishes the lens on the first Monday of each month.
"""


def test_a_question_is_answered_with_a_source(box, page):
    keeper = box.person("keeper")
    box.upload(keeper, "lighthouse.md", LIGHTHOUSE)
    box.runtime.reply = "The lighthouse is open to visitors on Fridays between ten and four [1]."
    box.sign_in(page, "keeper")
    page.get_by_label("Your question").fill("When is the lighthouse open to visitors?")
    page.keyboard.press("Enter")
    answer = page.locator(".answer")
    expect(answer).to_contain_text("open to visitors on Fridays")
    expect(answer.locator(".answer-foot")).to_contain_text("scripted-model")
    page.screenshot(path="/tmp/shots/chat.png")
    link = answer.get_by_role("link", name=re.compile("^Source 1: lighthouse.md, page 1"))
    link.focus()
    expect(page.get_by_role("tooltip")).to_contain_text("Fridays")
    page.screenshot(path="/tmp/shots/chat-preview.png")
