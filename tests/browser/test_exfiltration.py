"""Whatever an attacker gets to write is shown as what it is, and makes the browser call nobody.

What leaves is seen in the browser's own log of its network, which knows lookups, early connections, pings and web sockets too.
Names end in nothing: no lookup reaches the machine.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, Playwright, expect
from sqlalchemy import text

from tests.browser.conftest import CHROMIUM, FLAGS, Box
from tests.browser.exfiltration import FOREIGN, MARKUP_TRIES, TRIES, host
from tests.documents_samples import pdf

pytestmark = pytest.mark.browser

TOGETHER = "\n\n".join(TRIES)
ELEMENTS = """() => [...document.querySelectorAll("*")].flatMap((element) => [...element.attributes]
  .filter((one) => ["src", "srcset", "href", "xlink:href", "action", "formaction", "data", "poster", "ping", "style", "background"].includes(one.name))
  .filter((one) => one.value.includes("trap.example") && !one.value.startsWith("/") && !one.value.startsWith("#"))
  .map((one) => `${element.localName} ${one.name}=${one.value}`))"""
# of these a page would not live on, or swallow what follows
CUTS_SHORT = re.compile("refresh|submit|<base|javascript:|Content-Security|frameset|textarea|<noscript|<template|importmap")
UNSEEN = re.compile("[\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e0fff]")


@pytest.fixture(scope="module")
def network_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("network") / "log.json"


@pytest.fixture(scope="module")
def chromium(playwright_driver: Playwright, network_log: Path) -> Iterator[Browser]:
    log = [f"--log-net-log={network_log}", "--net-log-capture-mode=IncludeSensitive"]
    names = [f"--host-resolver-rules=MAP *.{FOREIGN} ~NOTFOUND"]
    browser = playwright_driver.chromium.launch(executable_path=CHROMIUM, headless=True, args=[*FLAGS, *log, *names])
    yield browser
    browser.close()


def called(log: Path) -> set[str]:
    """The foreign hosts that stand anywhere in the log where a host stands: in addresses, groups of sockets and lookups."""
    written = log.read_text(errors="replace")
    return set(re.findall(rf"\"(?:[a-z+\-]+:/*|[\w ./:]*https?://)?([\w-]+\.{re.escape(FOREIGN)})", written))


def until_called(log: Path, wanted: str) -> None:
    limit = time.monotonic() + 20
    while wanted not in called(log):
        assert time.monotonic() < limit, "the log of the network does not show the call that was made"
        time.sleep(0.2)


def sql(box: Box, statement: str, **values: object) -> None:
    with box.appliance.database.write() as connection:
        assert connection.execute(text(statement), values).rowcount


def clean(page: Page) -> None:
    """Nothing on the page leads abroad, and nothing is hidden in it."""
    page.wait_for_timeout(150)
    assert page.evaluate(ELEMENTS) == []
    assert UNSEEN.search(page.evaluate("document.body.innerText + document.title")) is None


@pytest.fixture
def person(box: Box) -> object:
    return box.person("keeper")


def test_at_least_sixty_ways_are_tried() -> None:
    assert len(TRIES) >= 60
    assert all(host(number) in written for number, written in enumerate(TRIES))


def test_whatever_is_written_calls_nobody(box: Box, open_page, network_log: Path, chromium: Browser, person) -> None:
    page = open_page()
    fact = "The lighthouse is open to visitors on Fridays between ten and four."
    document = box.upload(person, "tries.txt", f"{TRIES[0]} {fact}\n\n{TOGETHER}\n".encode())
    drawn = box.upload(person, "drawn.pdf", pdf(([line[:90] for line in TRIES[:40]],)))

    # an answer while it is written, where addresses that no passage holds are left out; then as it is kept, with its sources
    afterwards = " ".join(f"word{number}" for number in range(60))  # deltas are sent on together, so something has to follow
    box.runtime.reply = f"{TOGETHER}\n\n{fact} [1] {afterwards}"
    box.runtime.pause_s = 0.002
    box.runtime.may_end.clear()
    box.let_in(page, "keeper")
    page.get_by_label("Your question").fill(f"When is the lighthouse open to visitors? {TRIES[0]}")
    page.keyboard.press("Enter")
    expect(page.locator(".answer-body")).to_contain_text("word5", timeout=30_000)
    clean(page)
    box.runtime.may_end.set()
    expect(page.locator(".answer[data-status]")).to_be_visible(timeout=30_000)
    clean(page)
    sql(box, "UPDATE messages SET text = :text, status = 'DONE' WHERE role = 'assistant'", text=TOGETHER)
    sql(box, "UPDATE messages SET text = :text WHERE role = 'user'", text=TOGETHER)
    sql(box, "UPDATE conversations SET title = :text", text=TOGETHER)
    sql(box, "UPDATE documents SET name = :text || '.txt' WHERE id = :id", text=TOGETHER, id=document)
    sql(box, "UPDATE collections SET name = :text", text=TOGETHER)
    sql(box, "UPDATE pages SET label = :text WHERE document_id = :id", text=TOGETHER, id=document)
    shelf = [box.appliance.chat.create_conversation(person).id for _ in range(12)]
    for number, conversation in enumerate(shelf):
        sql(box, "UPDATE conversations SET title = :t WHERE id = :id", t=MARKUP_TRIES[5 * number], id=conversation)
    page.reload()
    expect(page.locator(".answer-body")).to_contain_text("<img src=https://")
    expect(page.locator(".question")).to_contain_text(host(1))
    expect(page.locator("#thread-title")).to_contain_text(host(1))
    expect(page.locator("#threads-list a")).to_have_count(13)
    clean(page)
    mark = page.locator(".answer .source-span, .answer .cite").first
    if mark.count():
        mark.hover()
    assert page.locator(".answer-body").locator("img, a[href^=http], script, iframe, svg, style, form, link").count() == 0

    # a failed answer gives a reason
    sql(box, "UPDATE messages SET status = 'FAILED', reason = :text WHERE role = 'assistant'", text=TOGETHER)
    page.reload()
    expect(page.locator(".answer-problem")).to_contain_text(host(1))
    clean(page)

    # the viewer: the name, the label and the text of a page; and a page that is drawn
    page.goto(f"{box.url}/documents/{document}")
    expect(page.locator("#stage")).to_contain_text(host(len(TRIES) - 1))
    expect(page.locator("#label")).to_contain_text(host(1))
    expect(page.locator("h1")).to_contain_text(host(1))
    clean(page)
    page.goto(f"{box.url}/documents/{drawn}")
    expect(page.locator(".sheet img")).to_be_visible(timeout=30_000)
    clean(page)

    # the list of documents, and one that could not be read
    sql(box, "UPDATE documents SET status = 'FAILED', reason = :text, reason_code = 'x' WHERE id = :id", text=TOGETHER, id=drawn)
    page.goto(f"{box.url}/documents")
    expect(page.locator("tr[data-document]")).to_have_count(2)
    expect(page.locator("tr[data-status=FAILED]")).to_contain_text(host(1))
    expect(page.locator("#collection option").first).to_contain_text(host(1))
    clean(page)

    # pages that are not there, and what they say
    for number in range(0, len(TRIES), 9):
        page.goto(f"{box.url}/documents/{quote(TRIES[number], safe='')}")
        clean(page)
    page.goto(f"{box.url}/sign-in?next={quote('//' + host(0))}")
    clean(page)

    # administrators see names that others chose
    sql(box, "UPDATE principals SET name = :text WHERE name = 'keeper'", text=TOGETHER)
    page.context.clear_cookies()
    for path, shown in (("/admin/people", "table"), ("/admin/collections", "#personal")):
        box.let_in(page, "administrator", path)
        expect(page.locator(f"main {shown}").first).to_contain_text(host(1))
        clean(page)

    # and now the same on a page without our headers: the log would have shown each
    assert called(network_log) == set()
    control = chromium.new_context().new_page()
    control.set_content("".join(f"<p>{written}</p>" for written in MARKUP_TRIES if not CUTS_SHORT.search(written)))
    control.evaluate(f"fetch('https://control.{FOREIGN}/').catch(() => 0)")
    until_called(network_log, f"control.{FOREIGN}")
    seen = called(network_log)
    print(f"{len(seen) - 1} of {len(MARKUP_TRIES)} tries call somebody where nothing stops them")
    assert len(seen) > 25
    control.close()
