"""From the store to an answer: what is selected is loaded, and an activation interrupts nobody. All parts are real."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from appliance.bootstrap import Appliance, open_appliance
from appliance.errors import Denied, NotFound, SetupError
from appliance.inference.models import CompletionRequest, FinishReason, PromptMessage
from appliance.inference.pool import RuntimeKey
from appliance.inference.selection.models import Reason, SelectionRequest
from appliance.inference.sources import LANGUAGE_MODEL, locate
from appliance.inference.store.importing import Order
from appliance.settings import Settings
from workers.main import _warm

pytestmark = [pytest.mark.models, pytest.mark.usefixtures("own_models")]
USUAL = SelectionRequest("internal", conversation_id="c")
QUESTION = CompletionRequest((PromptMessage("user", "Count from one to twenty."),), 24)


@pytest.fixture
def newer_weights(tmp_path: Path) -> Path:
    """The published weights under another name inside, so that no box has prepared the same file."""
    path = tmp_path / "newer.gguf"
    path.write_bytes(locate(LANGUAGE_MODEL).read_bytes().replace(b"Smollm2 135M", b"Another 135M", 1))
    return path


def test_what_is_classified_in_a_way_the_policy_does_not_know_is_answered_by_nothing(appliance) -> None:
    selection = appliance.router.select(SelectionRequest("royal"))
    assert {candidate.reason for candidate in selection.candidates} == {Reason.CLASSIFICATION_UNKNOWN}
    with pytest.raises(Denied) as refused, appliance.router.lend(selection):
        pass
    assert refused.value.stable_code == "inference.no_permitted_runtime"


def test_a_version_that_is_gone_is_not_loaded(appliance) -> None:
    with pytest.raises(NotFound), appliance.router._pool.use(RuntimeKey("llamacpp", "nothing@1")):
        pass


def test_weights_changed_on_disk_answer_nothing(appliance) -> None:
    selection = appliance.router.select(USUAL)
    path = appliance.settings.models_dir / appliance.models.active("language").file
    changed = bytearray(path.read_bytes())
    changed[-1] ^= 1
    path.unlink()  # a link: the others must keep theirs
    path.write_bytes(changed)
    with pytest.raises(SetupError) as refused, appliance.router.lend(selection):
        pass
    assert refused.value.stable_code == "setup.model_digest"
    # at its start the worker says so in its log, and lives on to tell people why there is no answer
    with capture_logs() as logs:
        _warm(appliance)
    assert [(line["event"], line.get("code", line.get("instead"))) for line in logs] == [
        ("model.skipped", "nothing"),
        ("worker.no_model", "setup.model_digest"),
    ]


def test_an_activation_takes_effect_at_once_and_drops_no_running_answer(appliance, administrator, newer_weights) -> None:
    router, models = appliance.router, appliance.model_administration
    before = router.select(USUAL)
    with router.lend(before) as old:
        deltas = old.complete(QUESTION)
        written = next(deltas).text
        newer = appliance.model_importing.take_in(administrator, newer_weights, Order(name=before.winner.offer.name))
        assert router.select(USUAL).winner.offer == before.winner.offer, "a candidate answers nobody"
        models.activate(administrator, newer.id)
        after = router.select(USUAL)
        assert after.winner.offer.model_id == newer.id
        with router.lend(after) as new:
            assert new.model.id == newer.id
            assert list(new.complete(QUESTION))[-1].finish_reason in {FinishReason.STOP, FinishReason.LENGTH}
        rest = list(deltas)
        written += "".join(delta.text for delta in rest)
        assert rest[-1].finish_reason in {FinishReason.STOP, FinishReason.LENGTH}
        assert len(written) > 20
    with router.lend(router.select(USUAL)):
        assert [key.model_id for key in router._pool.loaded()] == [newer.id], "the old one is unloaded"
    models.rollback(administrator, before.winner.offer.name)
    assert router.select(USUAL).winner.offer.model_id == before.winner.offer.model_id


def test_a_canary_answers_its_share_of_the_conversations(appliance, administrator, newer_weights) -> None:
    router, models = appliance.router, appliance.model_administration
    name = router.select(USUAL).winner.offer.name
    newer = appliance.model_importing.take_in(administrator, newer_weights, Order(name=name))
    models.canary(administrator, newer.id, percent=30)
    winners = [
        router.select(SelectionRequest("internal", conversation_id=f"c{at}")).winner.offer.model_id == newer.id
        for at in range(300)
    ]
    assert 60 < sum(winners) < 120
