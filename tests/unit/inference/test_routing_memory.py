"""Room for the next model on a box that holds one at a time: what nobody uses any more counts as room, what answers does not."""

from __future__ import annotations

import threading
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from appliance.bootstrap.foundation import POLICIES_DIR
from appliance.egress.seal.layers import Strength
from appliance.errors import Unavailable
from appliance.inference import routing
from appliance.inference.hardware.models import Accelerator, Hardware
from appliance.inference.models import Health
from appliance.inference.pool import RuntimeKey, RuntimePool, Told
from appliance.inference.routing import Router
from appliance.inference.selection.models import Offer, SelectionRequest
from appliance.inference.selection.policy import load_policy

POLICY = load_policy(POLICIES_DIR / "routing.toml")
ASKED = SelectionRequest("internal")
OLD = Offer("llamacpp", "old@1", "old", memory_mb=5_500, context_tokens=4_096)
NEW = replace(OLD, model_id="new@1", name="new")


class Box:
    """8 GB, of which each loaded model takes 5.5; nothing fits beside one."""

    def __init__(self) -> None:
        self.offers = [OLD]
        self.loaded: list[str] = []
        pool = RuntimePool(self._load)
        self.router = Router(
            hardware=lambda: Hardware(memory_total_mb=8_000, memory_available_mb=7_500 - 5_500 * len(self.loaded)),
            offers=lambda: self.offers,
            policy=POLICY,
            seal=lambda: Strength.NAMESPACE,
            pool=pool,
        )

    def _load(self, key: RuntimeKey, _: Told) -> Any:
        assert self.loaded == [], "there is room for one"
        self.loaded.append(key.model_id)
        return SimpleNamespace(
            model=SimpleNamespace(size_bytes=5_000_000_000),
            health=lambda: Health(ready=True),
            close=lambda: self.loaded.remove(key.model_id),
        )

    def answered_by(self) -> str:
        with self.router.lend_loadable(lambda: ASKED) as (selection, _):
            return selection.require().offer.model_id


def test_a_model_that_still_answers_keeps_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routing, "ROOM_S", 0.0)
    box = Box()
    with box.router.lend_loadable(lambda: ASKED):
        box.offers = [replace(OLD, state="retired"), NEW]
        with pytest.raises(Unavailable) as refusal:
            box.answered_by()
        assert refusal.value.stable_code == "inference.no_permitted_runtime"
        assert box.loaded == ["old@1"]


def test_what_would_not_fit_then_either_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routing.time, "sleep", lambda _: pytest.fail("waited"))
    box = Box()
    with box.router.lend_loadable(lambda: ASKED):
        box.offers = [replace(OLD, state="retired"), replace(NEW, memory_mb=9_000)]
        with pytest.raises(Unavailable):
            box.answered_by()


def test_a_question_after_an_activation_waits_for_the_last_answer_before_it() -> None:
    box, waits, answers = Box(), threading.Event(), list[str]()

    def ask() -> None:
        with box.router.lend_loadable(lambda: ASKED, lambda _: waits.set()) as (selection, _):
            answers.append(selection.require().offer.model_id)

    asking = threading.Thread(target=ask)
    with box.router.lend_loadable(lambda: ASKED):
        box.offers = [replace(OLD, state="retired"), NEW]
        asking.start()
        assert waits.wait(20)
        assert (box.loaded, answers) == (["old@1"], [])
    asking.join(20)
    assert (box.loaded, answers) == (["new@1"], ["new@1"])


def test_an_activation_takes_effect_although_two_do_not_fit() -> None:
    box = Box()
    assert box.answered_by() == "old@1"
    box.offers = [replace(OLD, state="retired"), NEW]
    assert (box.answered_by(), box.loaded) == ("new@1", ["new@1"])
    box.offers = [OLD, replace(NEW, state="retired")]
    assert (box.answered_by(), box.loaded) == ("old@1", ["old@1"])


def test_memory_is_given_back_where_it_was_taken_and_never_more_than_there_is() -> None:
    cards = (Accelerator("cuda:0", "A card", 24_000, 4_000), Accelerator("xpu:0", "Graphics", shares_memory=True))
    box = Hardware(memory_total_mb=8_000, memory_available_mb=1_000, accelerators=cards)
    assert box.without({}) == box
    given = box.without({"cpu": 500, "xpu:0": 250, "cuda:0": 10_000})
    assert given.memory_available_mb == 1_750
    assert [card.memory_free_mb for card in given.accelerators] == [14_000, 0]
    given = box.without({"cpu": 99_000, "cuda:0": 99_000})
    assert (given.memory_available_mb, given.accelerators[0].memory_free_mb) == (8_000, 24_000)
