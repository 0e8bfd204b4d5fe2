"""The officer's page says what is signed, and gives out what verifies elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from appliance.audit.checkpoints import Occasion
from appliance.audit.older import load_older
from appliance.audit.verification import verify
from appliance.identity.models import Role

pytestmark = pytest.mark.browser


def test_an_officer_takes_a_checkpoint_home_and_a_newer_one_that_continues_it(box, page: Page, tmp_path: Path) -> None:
    box.person("officer", Role.OFFICER)
    box.appliance.checkpoints.sign(Occasion.START)
    box.sign_in(page, "officer")
    page.goto(f"{box.url}/audit")
    card = page.locator("#checkpoint-card")
    expect(card.locator("#verifier-key")).to_be_hidden()
    card.locator("summary").click()
    key = box.appliance.checkpoints.verifier
    expect(card.locator("#verifier-key")).to_have_text(str(key))
    assert card.locator("time").get_attribute("datetime").endswith("Z")
    download = card.get_by_role("link", name="Download a new one")
    kept = card.get_by_label("Entries of the newest you keep")

    def taken(name: str) -> Path:
        with page.expect_download() as saved:
            download.click()
        saved.value.save_as(tmp_path / name)
        return tmp_path / name

    first = taken("first")
    size = verify(first, key).checkpoint.size
    kept.fill("-3")
    download.click()
    assert kept.evaluate("(field) => field.validationMessage") != ""
    kept.fill(str(size))
    assert verify(taken("second"), None, load_older(first)).grown_from == size

    page.get_by_label("Event").select_option("session.created")
    page.get_by_role("button", name="Apply").click()
    expect(page.locator("tr[data-seq]")).to_have_count(1)
    with page.expect_download() as saved:
        page.get_by_role("link", name="Export evidence").click()
    saved.value.save_as(tmp_path / "evidence")
    assert verify(tmp_path / "evidence", key).matching == 1
