"""An administrator deletes the account of somebody who left, on its page."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser


def test_who_left_is_deleted_where_what_goes_was_agreed_to(box, page: Page) -> None:
    administrator = box.set_up()
    carol = box.person("carol")
    box.upload(carol, "diary.txt", b"Dear diary.")
    everybody = frozenset({"group:everyone"})
    handbook = box.appliance.collections.create(administrator, "Handbook", readers=everybody, contributors=everybody)
    box.upload(carol, "rules.txt", b"No ball games.", handbook)
    box.appliance.chat.create_conversation(carol)
    box.let_in(page, "administrator", "/admin/people")
    row = page.locator(f"tr[data-person='{carol.id}']")
    expect(row.get_by_role("button", name="Disable: carol")).to_be_visible()
    expect(page.get_by_role("button", name="Delete")).to_have_count(0)
    row.get_by_role("button", name="Disable: carol").click()
    page.get_by_role("dialog").get_by_role("button", name="Disable").click()

    row.get_by_role("button", name="Delete: carol").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("1 document put into shared collections")
    dialog.get_by_role("button", name="Delete", exact=True).click()
    expect(dialog).to_be_visible()  # the browser asks for the box to be ticked
    # another administrator lets her in again for a moment: more than was said
    box.appliance.people.update(administrator, carol.id, disabled=False)
    box.appliance.chat.create_conversation(carol)
    box.appliance.people.update(administrator, carol.id, disabled=True)
    dialog.get_by_label("Delete 1 conversation and 1 document of their own").check()
    dialog.get_by_role("button", name="Delete", exact=True).click()
    expect(dialog.get_by_role("alert")).to_contain_text("carol has 2 conversations and 1 document")
    dialog.get_by_role("button", name="Cancel").click()

    row.get_by_role("button", name="Delete: carol").click()
    dialog.get_by_label("Delete 2 conversations and 1 document of their own").check()
    dialog.get_by_role("button", name="Delete", exact=True).click()
    expect(row).to_have_count(0)
    expect(dialog).to_contain_text("carol was deleted")
    expect(dialog).to_contain_text("1 document put into shared collections")
    dialog.get_by_role("button", name="Close").click()
    expect(dialog).to_have_count(0)
    assert [item.name for item in box.appliance.documents.list(administrator)] == ["rules.txt"]
    assert box.appliance.conversation_clearing.run(lambda _: None) == 2
