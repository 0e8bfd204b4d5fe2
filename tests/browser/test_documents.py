"""The documents page and the viewer, as a person meets them."""

from __future__ import annotations

import io
import socket
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect
from reportlab.pdfgen.canvas import Canvas
from sqlalchemy import text

from tests.documents_samples import HARBOUR, KETTLE, markdown, pdf

pytestmark = pytest.mark.browser


def link_to(box, person, document_id: str, passage: str) -> str:
    view = box.appliance.documents.page(person, document_id, 1)
    start = view.start + view.text.index(passage)
    return f"{box.url}/documents/{document_id}?page=1&start={start}&end={start + len(passage)}"


def in_window(page: Page, selector: str) -> bool:
    return page.eval_on_selector(
        selector, "e => { const b = e.getBoundingClientRect(); return b.top >= 0 && b.bottom <= innerHeight && b.width > 0; }"
    )


def test_files_become_ready_and_open_where_they_are_cited(box, page: Page, tmp_path: Path) -> None:
    alice = box.person("alice")
    box.appliance.collections.create(box.administrator, "House rules", contributors=[f"principal:{alice.id}"])
    files = {
        "rules.md": markdown(),
        "rules.pdf": pdf(((KETTLE, HARBOUR),)),
        "broken.pdf": b"%PDF-1.7\nnothing more",
        "tool.exe": b"MZ",
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    box.sign_in(page, "alice")
    page.goto(f"{box.url}/documents")
    expect(page.locator("#whose")).to_contain_text("Only you")
    page.locator("#files").set_input_files([tmp_path / name for name in files])

    # each refusal says why, and the rest goes on
    expect(page.locator("#uploads .upload.failed", has_text="tool.exe")).to_contain_text("cannot be read", timeout=30_000)
    for name in ("rules.md", "rules.pdf"):
        row = page.locator("tr[data-status=READY]", has_text=name)
        expect(row).to_contain_text("Ready", timeout=30_000)
    broken = page.locator("tr[data-status=FAILED]", has_text="broken.pdf")
    expect(broken.locator(".reason")).to_contain_text("damaged", timeout=30_000)
    expect(broken.get_by_role("button", name="Try again")).to_have_count(0)
    with box.appliance.database.write() as connection:
        connection.execute(text("UPDATE documents SET reason_code = 'document.parser_timeout' WHERE name = 'broken.pdf'"))
    page.reload()
    expect(broken.get_by_role("button", name="Try again")).to_be_visible()
    expect(page.locator("#count")).to_have_text("3 documents")

    page.locator("#files").set_input_files(tmp_path / "rules.md")
    expect(page.locator("#uploads .upload.done", has_text="rules.md")).to_contain_text("Already here")
    expect(page.locator("tr[data-document]")).to_have_count(3)

    # what became of a file is told where it was put
    lines = page.locator("#uploads .upload")
    expect(lines.filter(visible=True)).to_have_count(1)
    page.get_by_label("Collection").select_option(label="House rules")
    expect(lines.filter(visible=True)).to_have_count(0)
    page.get_by_label("Collection").select_option(box.own_collection(alice))
    expect(lines.filter(visible=True)).to_have_count(1)
    expect(page.locator("tr[data-document]")).to_have_count(3)

    broken.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.locator("tr[data-document]")).to_have_count(2)

    documents = {document.name: document.id for document in box.appliance.documents.list(alice)}
    drawing = page.locator(".sheet-blank")
    page.route("**/image", lambda route: (expect(drawing).to_be_visible(), route.fallback()))
    page.goto(link_to(box, alice, documents["rules.pdf"], HARBOUR))
    expect(page.locator(".marks rect").first).to_be_visible(timeout=20_000)
    page.wait_for_timeout(600)
    assert in_window(page, ".marks rect")
    image, mark = (page.locator(where).first.bounding_box() for where in (".sheet img", ".marks rect"))
    assert image["x"] < mark["x"]
    assert mark["x"] + mark["width"] < image["x"] + image["width"]
    assert image["y"] < mark["y"] < image["y"] + image["height"]


def test_the_passage_of_a_text_is_marked_and_pages_turn_by_keyboard(box, open_page) -> None:
    alice = box.person("alice")
    long = "\n\n".join(f"Rule {number}. The bell is rung at every change of the watch." for number in range(200))
    document = box.upload(alice, "rules.txt", f"{long}\n\n{HARBOUR}\n".encode())
    slides = box.upload(alice, "rules.pdf", pdf((("First page.",), ("Second page.",))))
    for options in ({}, {"viewport": {"width": 360, "height": 740}, "color_scheme": "dark"}):
        page = open_page(**options)
        box.sign_in(page, "alice")
        page.goto(link_to(box, alice, document, HARBOUR))
        expect(page.locator("mark")).to_have_text(HARBOUR)
        expect(page.locator("#turning")).to_be_hidden()  # a text has no pages
        page.wait_for_timeout(800)
        assert in_window(page, "mark")
        before = page.eval_on_selector(".sheet", "e => getComputedStyle(e).fontSize")
        page.get_by_role("button", name="Larger").click()
        assert page.eval_on_selector(".sheet", "e => getComputedStyle(e).fontSize") != before

        page.goto(f"{box.url}/documents/{slides}")
        expect(page.get_by_role("button", name="Previous page")).to_be_disabled()
        page.keyboard.press("ArrowRight")
        expect(page.get_by_alt_text("Page 2")).to_be_visible(timeout=20_000)
        expect(page.locator("#page")).to_have_value("2")
        page.keyboard.press("Home")
        expect(page.get_by_alt_text("Page 1")).to_be_visible(timeout=20_000)
        page.goto(f"{box.url}/documents")
        expect(page.locator("tr[data-document]")).to_have_count(2)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page scrolls sideways"


def test_a_broken_connection_leaves_nothing_behind(box) -> None:
    alice = box.person("alice")
    token = box.appliance.sessions.sign_in("alice", "a long enough passphrase", "test")
    address = urlsplit(box.url)
    request = (
        f"POST /api/collections/{box.own_collection(alice)}/documents?name=long.txt HTTP/1.1\r\nHost: {address.netloc}\r\n"
        f"Cookie: cloister={token}\r\nX-CSRF-Token: {box.appliance.sessions.csrf_token(token)}\r\n"
        "Content-Length: 9000000\r\n\r\n"
    )
    drafts = box.appliance.settings.blobs_dir / "drafts"
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall(request.encode() + b"x" * 3_000_000)
        wait_until(lambda: any(drafts.glob("*.part")))
    wait_until(lambda: not any(drafts.glob("*.part")))
    assert box.appliance.documents.list(alice) == []


def wait_until(true, seconds: float = 15) -> None:
    limit = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < limit
        time.sleep(0.05)


def test_text_that_nobody_sees_on_a_page_is_told_to_whoever_owns_the_document(box, page: Page) -> None:
    alice = box.person("alice")
    out = io.BytesIO()
    canvas = Canvas(out)
    for colour in (0, 1):
        canvas.drawString(72, 760, KETTLE)
        canvas.setFillGray(colour)
        canvas.drawString(72, 700, HARBOUR)
        canvas.showPage()
    canvas.save()
    document_id = box.upload(alice, "rules.pdf", out.getvalue())
    box.let_in(page, "alice", "/documents")
    notice = "Page 2 holds text that is not visible when the page is shown."
    expect(page.locator("tr", has_text="rules.pdf").locator(".reason")).to_contain_text(notice)
    page.goto(f"{box.url}/documents/{document_id}")
    expect(page.locator("#hidden-text")).to_contain_text(notice)
