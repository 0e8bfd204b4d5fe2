"""Asking in a real browser: streaming, citations, stop, errors, keyboard, small screens."""

from __future__ import annotations

import re
import time
from dataclasses import replace

import pytest
from playwright.sync_api import expect

from appliance.errors import Unavailable
from appliance.identity.store import end_sessions
from appliance.inference.pool import RuntimeKey, RuntimePool

pytestmark = pytest.mark.browser

LIGHTHOUSE = b"""# The lighthouse

The lighthouse is open to visitors on Fridays between ten and four. Children under six may not climb the tower.

The keeper polishes the lens on the first Monday of each month.
"""
QUESTION = "When is the lighthouse open to visitors?"
FRIDAYS = "The lighthouse is open to visitors on Fridays between ten and four [1]."


@pytest.fixture
def keeper(box):
    person = box.person("keeper")
    box.upload(person, "lighthouse.md", LIGHTHOUSE)
    return person


def drop_streams(box):
    """Cut every open event stream, as a proxy that restarts would."""
    box.closing.set()
    time.sleep(0.4)
    box.closing.clear()


def ask(page, text=QUESTION):
    page.get_by_label("Your question").fill(text)
    page.keyboard.press("Enter")


def test_a_question_is_answered_with_a_source_that_opens_its_page(box, page, keeper):
    box.runtime.reply = FRIDAYS
    box.sign_in(page, "keeper")
    expect(page.get_by_role("heading", name="What would you like to know?")).to_be_visible()
    ask(page)
    answer = page.locator(".answer")
    expect(answer.locator(".answer-foot")).to_contain_text("Read the one passage found")
    expect(answer.locator(".answer-foot")).to_contain_text(re.compile(r"\d s"))
    expect(answer.locator(".answer-foot")).to_contain_text(re.compile("model scripted-model through stub$"))
    expect(answer.locator("p").first).to_contain_text("open to visitors on Fridays between ten and four")
    expect(page.locator("#announcer")).to_contain_text("Answer: The lighthouse is open")
    expect(page).to_have_title(f"{QUESTION} · Cloister")
    expect(page.get_by_role("link", name=QUESTION)).to_have_attribute("aria-current", "page")

    mark = answer.get_by_role("link", name="Source 1: lighthouse.md")
    mark.focus()
    preview = page.get_by_role("tooltip")
    expect(preview).to_contain_text("lighthouse.md")
    expect(preview.locator("mark")).to_contain_text("Fridays between ten and four")
    page.keyboard.press("Escape")
    expect(preview).to_be_hidden()
    mark.click()
    page.wait_for_url(re.compile(r"/documents/\w+\?page=1&start=\d+&end=\d+$"))
    page.go_back()
    expect(page.locator(".answer .source-span")).to_contain_text("Fridays")


def test_words_appear_as_they_are_written_and_stop_keeps_them(box, page, keeper):
    box.runtime.reply = FRIDAYS + " More" + " words" * 400
    box.runtime.pause_s = 0.05
    box.let_in(page, "keeper")
    ask(page)
    expect(page.locator(".answer-status")).to_contain_text("Answering")
    expect(page.locator(".answer-body")).to_contain_text("The lighthouse is open")
    expect(page.get_by_role("button", name="Ask", exact=True)).to_be_hidden()
    # a second window joins in the middle and sees what was written before
    page.reload()
    expect(page.locator(".answer-body")).to_contain_text("The lighthouse is open")
    ask(page, "And on Sundays?")
    expect(page.locator("#note")).to_contain_text("still being written")
    expect(page.get_by_label("Your question")).to_have_value("And on Sundays?")
    page.keyboard.press("Escape")
    expect(page.locator(".answer-foot")).to_contain_text("Stopped by you", timeout=5_000)
    expect(page.locator("#note")).to_contain_text("Check their sources")
    expect(page.locator(".answer-body")).to_contain_text("The lighthouse is open")
    expect(page.get_by_role("button", name="Stop")).to_be_hidden()


def test_quotations_stand_at_once_and_the_next_question_waits_its_turn(box, page, keeper):
    box.runtime.model = replace(box.runtime.model, size_bytes=1)  # the smallest class leads with quotations
    box.runtime.reply = "Perhaps" + " word" * 60
    box.runtime.pause_s = 0.05
    box.let_in(page, "keeper")
    ask(page)
    expect(page.locator(".answer-status")).to_contain_text("These sentences of your documents stand, also if you stop now")
    expect(page.locator(".answer-body")).to_contain_text("Fridays between ten and four")
    page.get_by_label("Your question").fill("Who polishes the lens?")
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.locator("#note")).to_contain_text("asked as soon as it is done")
    expect(page.locator(".question")).to_have_count(1)
    expect(page.locator(".question").nth(1)).to_have_text("Who polishes the lens?")
    expect(page.get_by_label("Your question")).to_have_value("")


def test_stopping_leaves_the_quotations_with_their_sources(box, page, keeper):
    box.runtime.model = replace(box.runtime.model, size_bytes=1)
    box.runtime.reply = "Perhaps" + " word" * 400
    box.runtime.pause_s = 0.05
    box.let_in(page, "keeper")
    ask(page)
    expect(page.locator(".answer-status")).to_contain_text("also if you stop now")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(".answer-foot")).to_contain_text("Stopped by you")
    expect(page.locator(".answer-body")).to_contain_text("Fridays between ten and four")
    expect(page.locator(".answer .source-span")).to_contain_text("Fridays")


def test_a_lost_connection_is_said_and_made_good(box, page, keeper):
    box.runtime.reply = "The lighthouse is open to visitors on Fridays between ten and four. " * 8
    box.runtime.pause_s = 0.05
    box.let_in(page, "keeper")
    ask(page)
    expect(page.locator(".answer-body")).to_contain_text("Fridays")
    # the door closes for a while: open streams end and new ones are refused, as behind a broken cable
    refused = []
    page.context.route("**/api/messages/*/events", lambda route: (refused.append(1), route.abort()))
    drop_streams(box)
    expect(page.locator(".answer-foot")).to_contain_text("The connection was lost. Trying again", timeout=20_000)
    page.context.unroute("**/api/messages/*/events")
    expect(page.locator(".answer-foot")).to_contain_text("scripted-model", timeout=30_000)
    expect(page.locator(".answer-body")).to_contain_text("Fridays between ten and four")
    assert refused


def test_a_session_that_ends_meanwhile_leads_to_sign_in_and_back(box, page, keeper):
    box.runtime.reply = "The lighthouse is open to visitors on Fridays between ten and four. " * 8
    box.runtime.pause_s = 0.03
    box.let_in(page, "keeper")
    ask(page)
    expect(page.locator(".answer-body")).to_contain_text("Fridays")
    with box.appliance.database.write() as connection:
        end_sessions(connection, keeper.id)
    drop_streams(box)
    page.wait_for_url(re.compile(r"/sign-in\?next=%2Fchat%2F\w+"))
    page.get_by_label("Name").fill("keeper")
    page.get_by_label("Password", exact=True).fill("a long enough passphrase")
    page.keyboard.press("Enter")
    expect(page.locator(".answer[data-status=DONE]")).to_contain_text("Fridays", timeout=30_000)


def test_a_failed_answer_says_why_and_can_be_asked_again(box, page, keeper):
    def fail(_request):
        raise Unavailable("The language model does not answer.")

    box.runtime.reply = fail
    box.let_in(page, "keeper")
    ask(page)
    problem = page.locator(".answer").get_by_role("alert")
    expect(problem).to_contain_text("The language model does not answer.")
    box.runtime.reply = FRIDAYS
    problem.get_by_role("button", name="Ask again").click()
    expect(page.locator(".answer").nth(1).locator(".cite")).to_have_text("1")
    expect(page.locator(".question")).to_have_count(2)


def test_a_refused_question_stays_in_the_composer(box, page, keeper):
    box.let_in(page, "keeper")
    ask(page, "x" * 7_900)
    expect(page.get_by_role("alert")).to_contain_text("The question is too long")
    expect(page.get_by_label("Your question")).to_have_value("x" * 7_900)


def test_the_small_print_says_in_whose_place_a_model_answered(box, page, keeper):
    def load(key: RuntimeKey, _told: object):
        if key.model_id == "a-model@1":
            raise Unavailable("There is not enough memory.", code="inference.load_failed")
        return box.runtime

    router = box.appliance.router
    (offer,) = router._offers()
    router._offers = lambda: [replace(offer, model_id="a-model@1", name="a-model"), offer]
    router._pool = RuntimePool(load)
    box.runtime.reply = FRIDAYS
    box.let_in(page, "keeper")
    ask(page)
    print_ = page.locator(".answer .answer-foot")
    expect(print_).to_contain_text("model scripted-model through stub, in place of a-model@1, which could not be loaded")


def test_where_the_line_is_full_the_question_is_kept_and_asked_again(box, page, keeper):
    box.runtime.reply = FRIDAYS
    box.let_in(page, "keeper")
    limits = box.appliance.chat._settings
    box.appliance.chat._settings = replace(limits, questions_limit=0)
    ask(page)
    expect(page.get_by_role("alert")).to_contain_text("The box is busy: 0 questions are ahead of yours.")
    expect(page.get_by_label("Your question")).to_have_value(QUESTION)
    expect(page.locator(".question")).to_have_count(0)
    box.appliance.chat._settings = limits
    page.keyboard.press("Enter")
    expect(page.locator(".answer .cite").first).to_be_visible()


def test_an_answer_is_text_whatever_it_says(box, page, keeper):
    hostile = "<img src=x onerror=alert> **bold** [link](https://elsewhere.example/) ![image](https://elsewhere.example/i.png)"
    # while it is written, sentences without support are shown too
    box.runtime.reply = hostile + "\n\n- `code`\n- <b>two</b>\n" + " word" * 300
    box.runtime.pause_s = 0.02
    box.let_in(page, "keeper")
    ask(page)
    expect(page.locator(".answer-body li")).to_have_count(2)
    body = page.locator(".answer-body")
    expect(body).to_contain_text("<img src=x onerror=alert>")
    expect(body.locator("strong")).to_have_text("bold")
    expect(body.locator("code")).to_have_text("code")
    assert body.locator("img, a, b, script").count() == 0
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(".answer-foot")).to_contain_text("Stopped by you")


def test_enter_sends_and_shift_enter_does_not(box, page, keeper):
    box.let_in(page, "keeper")
    field = page.get_by_label("Your question")
    field.fill("First line")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("second line?")
    expect(page.locator(".question")).to_have_count(0)
    page.keyboard.press("Enter")
    expect(page.locator(".question p")).to_have_text("First line\nsecond line?")
    expect(field).to_have_value("")


def test_conversations_are_listed_opened_and_deleted(box, page, keeper):
    for text in ("Where is the spare key?", "Who polishes the lens?"):
        conversation = box.appliance.chat.create_conversation(keeper)
        answer = box.appliance.chat.ask(keeper, conversation.id, text)[1]
        box.appliance.chat.stop(keeper, answer.id)
    box.let_in(page, "keeper")
    listed = page.get_by_role("navigation", name="Your conversations")
    listed.get_by_role("link", name="Where is the spare key?").click()
    expect(page.locator(".question")).to_have_text("Where is the spare key?")
    page.get_by_role("button", name="Delete “Where is the spare key?”").click()
    expect(page.get_by_role("dialog")).to_contain_text("an officer can disclose one")
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    expect(listed.get_by_role("link")).to_have_count(2)
    page.get_by_role("button", name="Delete “Where is the spare key?”").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(listed.get_by_role("link")).to_have_count(1)
    page.wait_for_url(f"{box.url}/chat")
    assert len(box.appliance.chat.conversations(keeper)) == 1
    page.go_back()
    expect(page.get_by_role("heading", name="There is no such thing here.")).to_be_visible()


def test_a_conversation_can_be_narrowed_to_one_collection(box, page, keeper):
    administrator = box.administrator
    tides = box.appliance.collections.create(administrator, "Tides")
    box.appliance.collections.update(administrator, tides, readers={f"principal:{keeper.id}"})
    box.let_in(page, "keeper")
    page.get_by_label("Look in").select_option("Tides")
    ask(page)
    expect(page.locator("#thread-scope")).to_have_text("Only in Tides")
    expect(page.locator(".answer[data-status=DONE]")).to_contain_text("do not contain the answer")
    assert page.locator(".answer .cite").count() == 0


def test_where_no_answer_is_the_nearest_passages_are_links_and_no_sources(box, page, keeper):
    box.appliance.silence = replace(box.appliance.silence, threshold=100.0, nearest=1.0)
    box.let_in(page, "keeper")
    ask(page, "Which visitors may climb the tower of the lighthouse at night?")
    answer = page.locator(".answer[data-status=DONE]")
    expect(answer).to_contain_text("do not contain the answer")
    expect(answer.locator(".nearest h3")).to_have_text("Nearest passage, not close enough to answer from:")
    expect(answer.locator(".cite, .source-number")).to_have_count(0)
    page.reload()
    expect(answer.locator(".nearest .source-name")).to_contain_text("lighthouse.md")
    answer.locator(".nearest a").click()
    expect(page.locator("#passage")).to_contain_text("may not climb the tower")


def test_without_documents_the_page_leads_to_uploading(box, page):
    box.person("newcomer")
    box.let_in(page, "newcomer")
    expect(page.get_by_role("heading", name="There is nothing to ask yet")).to_be_visible()
    expect(page.get_by_role("link", name="Upload documents")).to_have_attribute("href", "/documents")


def test_a_telephone_shows_all_of_it(box, open_page, keeper):
    page = open_page(viewport={"width": 360, "height": 640}, has_touch=True, is_mobile=True)
    box.runtime.reply = FRIDAYS
    box.let_in(page, "keeper")
    ask(page)
    expect(page.locator(".answer .source-span")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    expect(page.get_by_role("link", name="New conversation")).to_be_hidden()
    toggle, fresh = page.locator("#threads-toggle"), page.get_by_role("link", name="New conversation")
    ways = (
        lambda: page.keyboard.press("Escape"),
        lambda: page.get_by_role("button", name="Close the conversations").tap(),
        lambda: page.touchscreen.tap(345, 320),
    )
    for put_away in ways:
        toggle.tap()
        expect(toggle).to_have_attribute("aria-expanded", "true")
        expect(fresh).to_be_visible()
        put_away()
        expect(fresh).to_be_hidden()
        expect(toggle).to_have_attribute("aria-expanded", "false")
    toggle.tap()
    fresh.tap()
    expect(page.get_by_role("heading", name="What would you like to know?")).to_be_visible()
    expect(page.get_by_role("link", name="New conversation")).to_be_hidden()


def test_only_those_who_may_choose_the_model_are_asked(box, open_page) -> None:
    alice = box.person("alice")
    box.upload(
        alice, "lighthouse.md", b"# The lighthouse\n\nThe lighthouse is open to visitors on Fridays between ten and four.\n"
    )
    page = open_page()
    box.sign_in(page, "alice")
    page.goto(f"{box.url}/chat")
    expect(page.get_by_label("Look in")).to_be_attached()
    expect(page.get_by_label("Answered by")).to_have_count(0)

    page = open_page()
    box.let_in(page, "administrator", "/chat")
    expect(page.get_by_role("heading", name="There is nothing to ask yet")).to_be_visible()
    expect(page.get_by_label("Answered by")).to_be_hidden()  # one model is no choice
    page.route("**/api/model-choices", lambda route: route.fulfill(json={"stub@1": "active", "stub@2": "candidate"}))
    page.reload()
    page.get_by_label("Answered by").select_option("stub@1")
    page.get_by_label("Your question").fill("When is the lighthouse open to visitors?")
    page.keyboard.press("Enter")
    expect(page.locator("#thread-model")).to_have_text("Answered by stub@1")
    expect(page.get_by_label("Answered by")).to_be_hidden()
