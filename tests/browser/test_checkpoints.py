"""The officer's page says what is signed, and gives out what verifies elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from appliance.audit.checkpoints import Occasion
from appliance.audit.older import load_older
from appliance.audit.verification import verify
from appliance.egress.collector.place import Place, keep
from appliance.identity.models import Role

pytestmark = pytest.mark.browser


def test_the_officer_reads_how_far_the_copy_elsewhere_is_and_is_warned_where_it_fails(
    box, page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box.person("officer", Role.OFFICER)
    box.sign_in(page, "officer")
    page.goto(f"{box.url}/audit")
    page.locator("#checkpoint-card summary").click()
    expect(page.locator("#collector")).to_have_text("No copy of it goes to another machine: no collector is named.")
    expect(page.locator("#collector-trouble")).to_have_count(0)
    file = tmp_path / "destinations.toml"
    file.write_text('[[destination]]\nname = "siem"\nhost = "127.0.0.1"\nport = 9\npurpose = "log"\n')
    monkeypatch.setattr(box.appliance.egress, "_destinations", file)
    failing = Place(
        "https://127.0.0.1:9/audit", 7, 1_000, tries=2, tried_ms=2_000, fault="egress.unreachable", failing_since_ms=2_000
    )
    with box.appliance.database.write() as connection:
        keep(connection, failing)
    page.reload()
    expect(page.locator("#collector-trouble")).to_contain_text("siem has the log up to entry 7;")
    expect(page.locator("#collector-trouble")).to_contain_text("It fails: it cannot be reached.")
    page.locator("#seal-card summary").click()
    expect(page.locator("[data-collector=troubled]")).to_contain_text("This has been so since 1970-01-01")
    page.locator("#checkpoint-card summary").click()
    expect(page.locator("#collector")).to_contain_text(
        "A copy of every entry goes to another machine: siem has the log up to entry 7;"
    )


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
