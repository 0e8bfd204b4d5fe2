"""An administrator deletes a collection on its page."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser


def test_a_collection_goes_with_its_documents_only_where_both_were_said(box, page: Page) -> None:
    administrator = box.set_up()
    everybody = frozenset({"group:everyone"})
    made = box.appliance.collections.create(administrator, "House rules", readers=everybody, contributors=everybody)
    box.upload(administrator, "tides.txt", b"The lighthouse is open on Fridays.", made)
    box.let_in(page, "administrator", "/admin/collections")
    row = page.locator(f"tr[data-collection='{made}']")
    row.get_by_role("button", name="Delete House rules").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Delete its 1 document, too")
    dialog.get_by_label("Type the name").fill("House")
    dialog.get_by_role("button", name="Delete").click()
    expect(dialog).to_be_visible()  # the browser asks for the box to be ticked
    box.upload(administrator, "fees.txt", b"The fee is due on Fridays.", made)  # more than the person was told
    dialog.get_by_label("Delete its 1 document").check()
    dialog.get_by_role("button", name="Delete").click()
    expect(dialog.get_by_role("alert")).to_contain_text("Type House rules")
    dialog.get_by_label("Type the name").fill("House rules")
    dialog.get_by_role("button", name="Delete").click()
    expect(dialog.get_by_role("alert")).to_contain_text("holds 2 documents")
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_have_count(0)

    row.get_by_role("button", name="Delete House rules").click()
    expect(dialog).to_contain_text("Delete its 2 documents, too")
    dialog.get_by_label("Delete its 2 documents").check()
    dialog.get_by_label("Type the name").fill("house rules")
    dialog.get_by_role("button", name="Delete").click()
    expect(row).to_have_count(0)
    expect(page.locator("#no-shared")).to_be_visible()
    assert box.appliance.documents.list(administrator) == []
    assert box.appliance.clearing.run() == 2
