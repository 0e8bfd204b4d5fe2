"""The administrator's page of models: what stands there, and each act with its confirmation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from appliance.administration.golden.models import Expected
from appliance.inference.store import records
from appliance.inference.store.importing import Order
from appliance.inference.store.versions import ModelVersion, SizeClass, VersionState
from appliance.retrieval import indexes
from tests.browser.conftest import WordEmbedder
from tests.unit.inference.gguf_samples import METADATA, gguf, write

pytestmark = pytest.mark.browser

TRIALS = (
    {
        "format": "Q4_1", "runtime": "llamacpp", "prefill_tokens_per_s": 219.0, "quality": 0.83, "questions": 36,
        "outcome": "lost", "reason": "A typical answer takes 2.10 times as long as with Q8_0.",
    },
    {
        "format": "int8", "runtime": "genai", "version": "harbour-135m@3", "prefill_tokens_per_s": 721.0, "four_at_once": 1.0,
        "quality": 0.81, "outcome": "kept", "reason": "Of those that answer as well as the source, the fastest.",
    },
    {"format": "1-bit", "runtime": "llamacpp", "outcome": "left out", "reason": "Only a model that was trained so."},
)  # fmt: skip


@pytest.fixture
def versions(box, tmp_path: Path) -> list[str]:
    """Two of one name, the first active, and one of another name; small files, with figures as a real one would have them."""
    appliance, administrator = box.appliance, box.set_up()
    made = []
    for number, name in enumerate(("harbour-135m", "harbour-135m", "reed-1.7b")):
        path = write(tmp_path / f"{number}.gguf", gguf(METADATA | {"llama.context_length": 4_096 + number}))
        made.append(appliance.model_importing.take_in(administrator, path, Order(name=name, encrypt=number == 2)))
    appliance.model_administration.activate(administrator, made[0].id)
    with appliance.database.write() as connection:
        records.delete_version(connection, made[1])
        measured = {
            "prefill_tokens_per_s": 721.4,
            "decode_tokens_per_s": 87.2,
            "quality": 0.67,
            "questions": 12,
            "memory_mb": 260.0,
        }
        records.insert_version(connection, replace(made[1], measured=measured, trials=TRIALS, made_from=made[0].id))
    return [version.id for version in appliance.model_administration.list(administrator)]


def test_an_administrator_activates_rolls_back_tries_out_retires_and_deletes(box, page: Page, versions: list[str]) -> None:
    second, first, other = versions
    box.let_in(page, "administrator", "/admin/models")
    card = lambda version: page.locator(f'[data-model="{version}"]')
    expect(card(first)).to_contain_text("active")
    expect(card(second)).to_contain_text("candidate")
    expect(card(second)).to_contain_text("67 % of 12 questions")
    expect(card(other)).to_contain_text("encrypted")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")

    page.get_by_role("button", name=f"Activate: {second}").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    expect(card(second)).to_contain_text("candidate")
    page.get_by_role("button", name=f"Activate: {second}").click()
    page.get_by_role("dialog").get_by_role("button", name="Activate").click()
    expect(card(second).locator("h2 .badge")).to_have_text("active")
    expect(page.locator("#retired-models")).to_contain_text(first)

    page.get_by_role("button", name=f"Roll back: {second}").click()
    page.get_by_role("dialog").get_by_role("button", name="Roll back").click()
    expect(card(first).locator("h2 .badge")).to_have_text("active")

    page.get_by_role("button", name=f"Try out: {other}").click()
    page.get_by_label("Share of the conversations").fill("25")
    page.get_by_role("dialog").get_by_role("button", name="Try out").click()
    expect(card(other).locator("h2 .badge")).to_have_text("canary, 25 %")

    expect(card(first)).to_contain_text("only active language model")
    expect(page.get_by_role("button", name=f"Retire: {first}")).to_have_count(0)
    page.get_by_role("button", name=f"Retire: {other}").click()
    page.get_by_role("dialog").get_by_role("button", name="Retire").click()
    expect(page.locator("#retired-models")).to_contain_text(other)

    page.get_by_role("button", name=f"Delete: {second}").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(card(second)).to_have_count(0)


def test_a_model_that_could_not_be_loaded_says_why_and_is_tried_again(box, page: Page, versions: list[str]) -> None:
    first = versions[1]
    appliance = box.appliance
    sentence = "Its file is not the one that was imported."
    appliance.load_failures.note((first, "llamacpp"), "setup.model_digest", sentence)
    box.let_in(page, "administrator", "/admin/models")
    notice = page.locator(f'[data-unloadable="{first}"]')
    expect(notice).to_have_text(f"It could not be loaded: {sentence} It is tried again from time to time.")
    page.get_by_role("button", name=f"Try again: {first}").click()
    expect(page.get_by_text(f"{first} is tried again with the next question")).to_be_visible()
    expect(notice).to_have_count(0)
    expect(page.get_by_role("button", name=f"Try again: {first}")).to_have_count(0)
    assert appliance.load_failures.known() == {}


def test_the_page_fits_a_telephone(box, page: Page, versions: list[str]) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    box.let_in(page, "administrator", "/admin/models")
    page.locator(f'[data-model="{versions[0]}"] summary').click()
    table = page.get_by_role("table", name="Variants that were measured")
    expect(table).to_be_visible()
    rows = [" ".join(row.inner_text().split()) for row in table.get_by_role("row").all()]
    assert rows == [
        "Variant Reads Four at once Right answers",
        "Q4_1 lost llama.cpp 219 83 % of 36",
        "A typical answer takes 2.10 times as long as with Q8_0.",
        "int8 kept ONNX Runtime GenAI, harbour-135m@3 721 1 81 %",
        "Of those that answer as well as the source, the fastest.",
        "1-bit left out llama.cpp",
        "Only a model that was trained so.",
    ]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_catalogue_says_what_is_known_and_what_is_installed(box, page: Page, versions: list[str]) -> None:
    box.let_in(page, "administrator", "/admin/models")
    known = lambda name: page.locator(f'[data-known="{name}"]')
    expect(known("colbertv2.0").locator("summary")).to_contain_text("cannot be used")
    known("qwen3-0.6b").locator("summary").click()
    expect(known("qwen3-0.6b")).to_contain_text("cloister models import FILE.gguf --name qwen3-0.6b")
    expect(known("qwen3-0.6b")).to_contain_text("Apache-2.0")
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def embedding_version(name: str, digest: str, state: VersionState) -> ModelVersion:
    return ModelVersion(
        id="", kind="embedding", name=name, number=0, format="onnx", quantisation="int8", architecture="bert", parameters_m=22.7,
        size_class=SizeClass.MICRO, context_tokens=256, memory_mb=60, licence="Apache-2.0", sha256=digest * 64, size_bytes=23_000_000,
        source="a package", state=state, measured={"dimensions": 384, "tokens_per_s": 15_000.0},
    )  # fmt: skip


def test_another_embedding_model_takes_over_while_the_page_is_open(box, page: Page) -> None:
    appliance, administrator = box.appliance, box.set_up()
    appliance.models.content.holds = lambda _: True
    for at in range(3):
        box.upload(
            administrator, f"{at}.md", "\n\n".join(f"# Part {n}\n\nThe lighthouse {at} {n}. " * 40 for n in range(30)).encode()
        )
    with appliance.database.write() as connection:
        for name, digest, state in (("usual", "a", VersionState.ACTIVE), ("wider", "b", VersionState.CANDIDATE)):
            records.insert_version(connection, embedding_version(name, digest, state))
        indexes.record_model(connection, "usual@1", "a" * 64)
    appliance.__dict__["embedders"] = SimpleNamespace(serving=WordEmbedder, coming=lambda _: WordEmbedder(), release=lambda: None)
    box.let_in(page, "administrator", "/admin/models")
    card = lambda version: page.locator(f'[data-model="{version}"]')
    expect(card("usual@1")).to_contain_text("The index holds")
    page.get_by_role("button", name="Activate: wider@1").click()
    page.get_by_role("dialog").get_by_role("button", name="Embed").click()
    expect(card("wider@1").get_by_role("progressbar")).to_be_visible()
    expect(card("wider@1")).to_contain_text("0 of")
    expect(page.get_by_role("button", name="Delete: wider@1")).to_have_count(0)
    page.get_by_role("button", name="Abandon: wider@1").click()
    page.get_by_role("dialog").get_by_role("button", name="Abandon").click()
    expect(page.get_by_role("button", name="Activate: wider@1")).to_be_visible()
    appliance.reembedding.run()
    page.get_by_role("button", name="Activate: wider@1").click()
    page.get_by_role("dialog").get_by_role("button", name="Embed").click()
    expect(card("wider@1")).to_contain_text("0 of")
    steps = iter([False, False])
    appliance.reembedding.run(lambda: next(steps, True))
    expect(card("wider@1")).not_to_contain_text(" 0 of")  # without a new look at the page
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    appliance.reembedding.run()
    expect(card("wider@1").locator("h2 .badge")).to_have_text("active")
    expect(card("usual@1").locator("h2 .badge")).to_have_text("retired")


class Named(WordEmbedder):
    """Of a file; one that is `wrong` finds last what should come first."""

    def __init__(self, digest: str, *, wrong: bool) -> None:
        self.sha256, self.wrong = digest * 64, wrong

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        vectors = super().embed([text.replace("beacon", "lighthouse") for text in texts])
        return np.stack(
            [-vector if self.wrong and "beacon" in text else vector for text, vector in zip(texts, vectors, strict=True)]
        )


def test_an_embedding_model_that_finds_less_is_kept_back_and_let_through_with_a_reason(box, page: Page) -> None:
    appliance, administrator = box.appliance, box.set_up()
    appliance.models.content.holds = lambda _: True
    for at in range(10):
        box.upload(administrator, f"{at}.md", (f"The lighthouse{at} is told of here. " + f"lighthouse{at} " * 20).encode())
    with appliance.database.write() as connection:
        for name, digest, state in (("usual", "a", VersionState.ACTIVE), ("wider", "b", VersionState.CANDIDATE)):
            records.insert_version(connection, embedding_version(name, digest, state))
        indexes.record_model(connection, "usual@1", "a" * 64)
    usual, wider = Named("a", wrong=False), Named("b", wrong=True)
    pool = SimpleNamespace(serving=lambda: usual, coming=lambda _: wider, release=lambda: None)
    appliance.__dict__["embedders"] = pool
    made = appliance.golden.create(administrator, box.own_collection(administrator), "Basics").id
    appliance.golden.add(administrator, made, [Expected(f"beacon{at}", (), f"{at}.md") for at in (1, 2, 3)])
    appliance.golden.change(administrator, made, required=True)
    appliance.model_administration.activate(administrator, "wider@1")
    box.let_in(page, "administrator", "/admin/models")
    card = page.locator('[data-model="wider@1"]')
    expect(card.get_by_role("progressbar")).to_be_visible()
    appliance.reembedding.run()
    expect(card).to_contain_text("for 3 questions of the golden sets the expected passage is found further down")
    card.get_by_text("What golden sets say of it").click()
    expect(card.locator("[data-compared]")).to_contain_text("beacon2 place 1, now not found")
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("button", name="Activate all the same: wider@1").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("“beacon1”")
    dialog.get_by_label("Activate all the same, because").fill("It is four times as fast.")
    dialog.get_by_role("button", name="Activate all the same").click()
    expect(page.get_by_role("button", name="Activate all the same: wider@1")).to_have_count(0)
    pool.serving = lambda: wider
    appliance.reembedding.run()
    expect(card.locator("h2 .badge")).to_have_text("active")
    card.get_by_text("What golden sets say of it").click()
    expect(card.locator("[data-compared]")).to_contain_text("spoke against it")
