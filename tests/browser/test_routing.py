"""Classifying a collection, and reading which model would answer what."""

from __future__ import annotations

from dataclasses import replace

import pytest
from playwright.sync_api import expect

from appliance.egress.seal.layers import Strength
from appliance.administration.routing_review import RoutingReview
from appliance.inference.hardware.models import Accelerator, Hardware
from appliance.inference.load_failures import LoadFailure
from appliance.inference.loaded_report import LoadedReport
from appliance.inference.models import Health
from appliance.inference.placement import LoadedRuntime, Placement
from appliance.inference.selection.models import Offer

pytestmark = pytest.mark.browser

MACHINE = Hardware(
    processor="A server processor",
    architecture="x86_64",
    features=("avx2", "avx512f"),
    cores=8,
    memory_total_mb=32_000,
    memory_available_mb=20_000,
    accelerators=(Accelerator("cuda:0", "A graphics card", 24_000, 21_000),),
    remarks=("Neural processors could not be looked at: accel0 is there, but the kernel does not say what it is.",),
)
LOADED = LoadedRuntime(
    "llamacpp",
    "smollm2-135m-instruct@1",
    "",
    Health(ready=True, running=1),
    Placement("llamacpp", "smollm2-135m-instruct@1", "cuda:0", "cpu", "cuda:0"),
)
OFFERS = [
    Offer("llamacpp", "smollm2-135m-instruct@1", "smollm2-135m-instruct", memory_mb=320, context_tokens=4_096),
    Offer("llamacpp", "a-model-with-a-very-long-name-q4-k-m@12", "a-model-with-a-very-long-name-q4-k-m", memory_mb=90_000),
    Offer("stranger", "qwen3-4b@2", "qwen3-4b", size_class="small", memory_mb=4_000, context_tokens=4_096),
]


def offer(box, offers) -> None:
    held = box.appliance
    box.appliance.routing_review = RoutingReview(
        database=held.database,
        access=held.access,
        audit=held.audit,
        policy=held.routing,
        hardware=lambda: MACHINE,
        offers=lambda: offers,
        seal=lambda: Strength.NONE,
        loaded=lambda: [LoadedReport("worker-answers", 1, 1, 1, [LOADED], ["CPUExecutionProvider"])],
    )


def test_an_administrator_classifies_and_everybody_reads_it(box, open_page) -> None:
    alice = box.person("alice")
    page = open_page()
    box.let_in(page, "administrator", "/admin/collections")
    page.get_by_role("button", name="New collection").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("Board minutes")
    expect(dialog.get_by_label("Classification")).to_have_value("internal")
    dialog.get_by_label("Everyone may read").check()
    dialog.get_by_role("button", name="Create").click()
    row = page.locator("tr[data-collection]", has_text="Board minutes")
    expect(row).to_contain_text("internal")
    row.get_by_role("button", name="Change").click()
    expect(dialog.get_by_label("Classification")).to_have_value("internal")
    dialog.get_by_label("Classification").select_option("confidential")
    dialog.get_by_role("button", name="Save").click()
    expect(row).to_contain_text("confidential")

    reader = open_page(viewport={"width": 360, "height": 740})
    box.let_in(reader, "alice", "/documents")
    reader.get_by_label("Collection").select_option(label="Board minutes (confidential, read only)")
    expect(reader.get_by_text("Classified as confidential.")).to_be_visible()
    box.upload(alice, "note.txt", b"The lighthouse is open on Fridays.")
    reader.goto(f"{box.url}/chat")
    expect(reader.get_by_label("Look in").get_by_role("option", name="Board minutes (confidential)")).to_be_attached()


def test_the_decisions_and_the_box_are_shown(box, open_page) -> None:
    box.set_up()
    offer(box, OFFERS)
    page = open_page()
    box.let_in(page, "administrator", "/admin/models")
    internal = page.locator("[data-classification=internal]")
    expect(internal).to_contain_text("is answered")
    expect(internal).to_contain_text("smollm2-135m-instruct@1 through llamacpp on cpu")
    expect(internal.locator("[data-reason=runtime_forbidden]")).to_be_hidden()
    internal.get_by_text("2 others").click()
    expect(internal.locator("[data-reason=runtime_forbidden]")).to_contain_text("The runtime stranger is not allowed")
    expect(page.locator("#hardware")).to_contain_text("A graphics card, 24 GB, 21 GB free")
    expect(page.locator("#hardware")).to_contain_text("CPUExecutionProvider")
    passed = internal.locator("[data-reason=no_library]")
    expect(passed).to_contain_text("Not on cuda:0 (A graphics card): The build of llamacpp on this box cannot drive it")
    loaded = page.locator("#loaded li")
    expect(loaded.locator("p").first).to_have_text("smollm2-135m-instruct@1 through llamacpp not as expected")
    expect(loaded).to_contain_text("It was put on cuda:0 and computes on cpu.")
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")

    damaged = LoadFailure("setup.model_digest", "Its file is not the one that was imported.", 1, 0, 1)
    offer(box, [replace(OFFERS[0], model_id="a-model@1", name="a-model", failed=damaged), *OFFERS])
    page.evaluate("document.dispatchEvent(new Event('models-changed'))")
    skipped = internal.locator("[data-instead-of='a-model@1']")
    expect(skipped).to_have_text(
        "Instead of a-model@1 through llamacpp: It could not be loaded: Its file is not the one that was imported."
    )
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")

    offer(box, OFFERS[1:])
    page.evaluate("document.dispatchEvent(new Event('models-changed'))")  # as after an activation
    expect(internal).to_contain_text("is refused")
    expect(internal.locator("[data-reason=memory_short]")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
