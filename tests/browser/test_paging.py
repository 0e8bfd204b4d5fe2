"""Many conversations, and one of many questions: what is shown first, and what comes when it is asked for."""

from __future__ import annotations

import secrets

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import insert

from appliance.storage import tables
from web.controllers.chat import PAGE_CONVERSATIONS, PAGE_MESSAGES

pytestmark = pytest.mark.browser

QUESTIONS = 50


def many(box, person) -> str:
    """Conversations for a page and a half, the newest of them long; its id."""
    count = PAGE_CONVERSATIONS + 25
    ids = [secrets.token_hex(16) for _ in range(count)]
    own = [{"id": ids[at], "principal_id": person.id, "title": f"Talk {at}", "created_ms": 1} for at in range(count)]
    said = []
    for at in range(QUESTIONS):
        for role in ("user", "assistant"):
            row = {"id": secrets.token_hex(16), "conversation_id": ids[0], "ordinal": len(said) + 1, "role": role}
            text = f"Question {at}" if role == "user" else f"Answer {at}. " * 30
            said.append(row | {"status": "DONE", "created_ms": 1, "finished_ms": 1, "text": text})
    with box.appliance.database.write() as connection:
        # several of one moment, as after a restore
        connection.execute(insert(tables.conversations), [row | {"updated_ms": 1_000 - at // 4} for at, row in enumerate(own)])
        connection.execute(insert(tables.messages), said)
    return ids[0]


def test_older_conversations_and_earlier_questions_come_when_they_are_asked_for(box, page: Page) -> None:
    keeper = box.person("keeper")
    long = many(box, keeper)
    box.let_in(page, "keeper")
    links = page.get_by_role("navigation", name="Your conversations").get_by_role("link")
    expect(links).to_have_count(PAGE_CONVERSATIONS)
    more = page.get_by_role("button", name="Show older conversations")
    more.focus()  # which scrolls to it as well
    expect(links).to_have_count(PAGE_CONVERSATIONS + 25)
    expect(more).to_have_count(0)
    assert len(set(links.all_inner_texts())) == PAGE_CONVERSATIONS + 25

    page.goto(f"{box.url}/chat/{long}")
    asked = page.locator(".question")
    expect(asked).to_have_count(PAGE_MESSAGES // 2)
    expect(asked.last).to_be_in_viewport()
    before = page.get_by_role("button", name="Show earlier questions")
    expect(before).not_to_be_in_viewport()
    first = asked.first
    expect(first).to_have_text(f"Question {QUESTIONS - PAGE_MESSAGES // 2}")
    before.press("Enter")
    expect(asked).to_have_count(PAGE_MESSAGES)
    expect(page.get_by_role("region", name="Questions and answers")).to_be_focused()
    expect(page.get_by_text(f"Question {QUESTIONS - PAGE_MESSAGES // 2}", exact=True)).to_be_in_viewport()  # where one was
    page.locator("#scroll").evaluate("(place) => (place.scrollTop = 0)")
    expect(asked).to_have_count(QUESTIONS)
    assert asked.all_inner_texts() == [f"Question {at}" for at in range(QUESTIONS)]
    expect(before).to_have_count(0)
