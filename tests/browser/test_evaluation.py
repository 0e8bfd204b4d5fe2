"""The administrator's page of golden sets, and what they have to say when a model is to be activated."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from appliance.administration.golden.models import Expected
from appliance.evaluation.golden.running import GoldenRunner
from appliance.inference.store.importing import Order
from appliance.inference.stub import InsecureStubWarning, stub_router
from tests.unit.inference.gguf_samples import METADATA, gguf, write

pytestmark = pytest.mark.browser

RULES = b"The lighthouse is open on Fridays. The keeper of the lighthouse lives in the red house. Dogs stay outside."


@pytest.fixture
def asked_box(box, monkeypatch):
    """A box whose golden sets are asked with its scripted model."""

    def new_router():
        with pytest.warns(InsecureStubWarning):
            return stub_router(box.runtime)

    monkeypatch.setattr(box.appliance, "new_router", new_router)
    box.upload(box.set_up(), "lighthouse.txt", RULES)
    return box


def run_waiting(box) -> None:
    assert GoldenRunner(box.appliance, "test", yield_s=0).run_waiting() == 1


def test_an_administrator_makes_a_set_asks_it_and_sees_what_got_worse(asked_box, page: Page) -> None:
    box = asked_box
    box.let_in(page, "administrator", "/admin/evaluation")
    expect(page.get_by_text("No golden set yet")).to_be_visible()
    page.get_by_role("button", name="New golden set").click()
    page.get_by_label("Name").fill("Opening hours")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("heading", name="Opening hours")).to_be_visible()

    page.get_by_role("button", name="Add a question").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Question").fill("When is the lighthouse open?")
    dialog.get_by_role("button", name="Add").click()
    expect(dialog.get_by_role("alert")).to_contain_text("expected answer")
    dialog.get_by_label("Expected in the answer").fill("on Fridays")
    dialog.get_by_label("Must cite").select_option("lighthouse.txt")
    dialog.get_by_role("button", name="Add").click()
    expect(page.locator("[data-question]")).to_contain_text("lighthouse.txt")

    page.locator('input[type="file"]').set_input_files(
        {"name": "more.csv", "mimeType": "text/csv", "buffer": b"question,silent\nWho painted the moon?,yes\n"}
    )
    expect(page.locator("[data-question]")).to_have_count(2)

    page.get_by_role("button", name="Run now").click()
    expect(page.locator("[data-run-words]")).to_have_text("waiting")
    run_waiting(box)
    expect(page.get_by_text("2 of 2 right")).to_be_visible()
    expect(page.get_by_text("baseline", exact=True)).to_be_visible()

    box.runtime.reply = "The keeper of the lighthouse lives in the red house."
    page.get_by_role("button", name="Run now").click()
    expect(page.locator("[data-run-words]")).to_have_count(1)
    run_waiting(box)
    expect(page.locator("[data-run-line] a")).to_have_count(2)
    page.locator("[data-run-line] a").first.click()
    expect(page.get_by_text("got worse").first).to_be_visible()
    expect(page.locator("tr.golden-worse")).to_contain_text("When is the lighthouse open?")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")

    page.get_by_role("link", name="← The golden set").click()
    page.get_by_role("button", name="Settings").click()
    page.get_by_role("dialog").get_by_label("Required").check()
    page.get_by_label("Asked", exact=True).select_option("weekly")
    page.get_by_label("On", exact=True).select_option("Tuesday")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("every Tuesday at 03:00")).to_be_visible()
    expect(page.get_by_text("required", exact=True)).to_be_visible()


def test_a_regression_stands_before_an_activation_until_a_reason_is_given(asked_box, page: Page, tmp_path) -> None:
    box = asked_box
    appliance, golden, administrator = box.appliance, box.appliance.golden, box.administrator
    for number in (1, 2):
        path = write(tmp_path / f"{number}.gguf", gguf(METADATA | {"llama.context_length": 4_096 + number}))
        appliance.model_importing.take_in(administrator, path, Order(name="harbour"))
    appliance.model_administration.activate(administrator, "harbour@1")
    made = golden.create(administrator, box.own_collection(administrator), "Basics")
    asked = [("When is the lighthouse open?", "Fridays"), ("Is the lighthouse open?", "Fridays")]
    golden.add(administrator, made.id, [Expected(text, (answer,)) for text, answer in asked])
    golden.change(administrator, made.id, required=True)
    golden.start(administrator, made.id)
    run_waiting(box)
    box.runtime.reply = "The keeper of the lighthouse lives in the red house."

    box.let_in(page, "administrator", "/admin/models")
    page.get_by_role("button", name="Try out: harbour@2").click()
    page.get_by_role("dialog").get_by_role("button", name="Try out").click()
    expect(page.get_by_role("dialog")).to_contain_text("before it answers anybody. Try it out once")
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Activate: harbour@2").click()
    page.get_by_role("dialog").get_by_role("button", name="Activate").click()
    expect(page.get_by_role("dialog")).to_contain_text("1 golden set must be asked with harbour@2")
    page.get_by_role("button", name="Ask, then activate").click()
    expect(page.get_by_role("status")).to_contain_text("being asked")
    run_waiting(box)
    page.get_by_role("button", name="Try out: harbour@2").click()
    page.get_by_role("dialog").get_by_role("button", name="Try out").click()
    page.get_by_role("dialog").get_by_label("because").fill("One person looks at it.")
    page.get_by_role("dialog").get_by_role("button", name="Try out all the same").click()
    expect(page.locator('[data-model="harbour@2"] h2 .badge')).to_contain_text("canary")
    page.get_by_role("button", name="Activate: harbour@2").click()
    page.get_by_role("dialog").get_by_role("button", name="Activate").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("answers 2 questions of the golden sets wrongly")
    expect(dialog.get_by_role("link", name="What came of it")).to_be_visible()
    dialog.get_by_role("button", name="Activate all the same").click()
    expect(dialog).to_be_visible()  # not without a reason
    dialog.get_by_label("because").fill("The former one may not be used any longer.")
    dialog.get_by_role("button", name="Activate all the same").click()
    expect(page.locator('[data-model="harbour@2"] h2 .badge')).to_have_text("active")
