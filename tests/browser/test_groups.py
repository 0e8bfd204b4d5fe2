"""An administrator makes a group, fills it, opens a collection to it, and tries a model out on it."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from appliance.inference.store.importing import Order
from tests.unit.inference.gguf_samples import METADATA, gguf, write

pytestmark = pytest.mark.browser


def test_a_group_is_made_filled_opened_to_renamed_and_deleted(box, page: Page) -> None:
    administrator = box.set_up()
    anna, bert = (box.person(name) for name in ("anna", "bert"))
    board = box.appliance.collections.create(administrator, "Board")
    box.let_in(page, "administrator", "/admin/groups")
    expect(page.locator("tr[data-group='everyone']")).to_contain_text("everybody, 3 accounts")
    expect(page.locator("tr[data-group='everyone'] button")).to_have_count(0)

    page.get_by_role("button", name="New group").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("EVERYONE")
    dialog.get_by_label("anna").check()
    dialog.get_by_role("button", name="Create").click()
    expect(dialog.get_by_role("alert")).to_contain_text("There is a group named Everyone already")
    dialog.get_by_label("Name").fill("Porters")
    dialog.get_by_role("button", name="Create").click()
    row = page.locator("tr[data-group]", has_text="Porters")
    expect(row).to_contain_text("anna")
    expect(dialog).to_have_count(0)
    porters = row.get_attribute("data-group")

    page.goto(f"{box.url}/admin/collections")
    page.get_by_role("button", name="Change Board").click()
    expect(dialog.get_by_role("rowheader")).to_have_text(["Groups", "People"])
    dialog.get_by_label("Porters (1 member) may read").check()
    dialog.get_by_role("button", name="Save").click()
    expect(page.locator(f"tr[data-collection='{board}']")).to_contain_text("Porters (1 member)")
    assert board in {item.id for item in box.appliance.collections.readable(_now(box, anna.id))}

    page.goto(f"{box.url}/admin/groups")
    expect(row).to_contain_text("Board")
    carl = box.person("carl")  # by another administrator, after the page was opened
    box.appliance.groups.add(administrator, porters, [carl.id])
    page.get_by_role("button", name="Members: Porters").click()
    expect(dialog).to_contain_text("Opened to this group: Board")
    dialog.get_by_label("anna").uncheck()
    dialog.get_by_label("bert").check()
    dialog.get_by_role("button", name="Save").click()
    expect(row).to_contain_text("bert")
    expect(row).not_to_contain_text("anna")
    assert [porters in _now(box, person.id).groups for person in (anna, bert, carl)] == [False, True, True]

    page.get_by_role("button", name="Rename: Porters").click()
    dialog.get_by_label("Name").fill("Night porters")
    dialog.get_by_role("button", name="Save").click()
    expect(page.get_by_role("button", name="Delete: Night porters")).to_be_visible()
    page.get_by_role("button", name="Delete: Night porters").click()
    expect(dialog).to_contain_text("1 collection will be closed to its 2 members, unless they may read by another way: Board.")
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_have_count(0)
    page.get_by_role("button", name="Delete: Night porters").click()
    dialog.get_by_role("button", name="Delete").click()
    expect(page.locator("tr[data-group]")).to_have_count(1)
    expect(page.locator("#no-groups")).to_be_visible()


def test_a_model_is_tried_out_on_a_group(box, page: Page, tmp_path: Path) -> None:
    appliance, administrator = box.appliance, box.set_up()
    for number in range(2):
        path = write(tmp_path / f"{number}.gguf", gguf(METADATA | {"llama.context_length": 4_096 + number}))
        appliance.model_importing.take_in(administrator, path, Order(name="harbour"))
    appliance.model_administration.activate(administrator, "harbour@1")
    appliance.groups.create(administrator, "Pilots", [administrator.id])
    box.let_in(page, "administrator", "/admin/models")
    page.get_by_role("button", name="Try out: harbour@2").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Whose conversations").select_option(label="Pilots (1 member)")
    expect(dialog.get_by_label("Share of the conversations")).to_be_hidden()
    dialog.get_by_role("button", name="Try out").click()
    expect(page.locator('[data-model="harbour@2"] h2 .badge')).to_have_text("canary, Pilots")

    page.goto(f"{box.url}/admin/groups")
    expect(page.locator("tr[data-group]", has_text="Pilots")).to_contain_text("harbour@2")
    page.get_by_role("button", name="Delete: Pilots").click()
    dialog.get_by_role("button", name="Delete").click()
    expect(page.locator("#toasts")).to_contain_text("harbour@2 is tried out on Pilots.")
    expect(page.locator("tr[data-group]")).to_have_count(2)


def _now(box, person_id: str):
    people = box.appliance.people.list(box.administrator)
    return next(account.principal for account in people if account.principal.id == person_id)
