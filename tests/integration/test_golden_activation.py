"""The default models stand a golden set, and a version that answers worse is not activated. Only that version is a stand-in."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.administration.golden.models import Expected
from appliance.bootstrap import Appliance, open_appliance
from appliance.errors import Conflict
from appliance.evaluation.corpus import index_dataset
from appliance.evaluation.dataset import Article, Dataset
from appliance.evaluation.golden.running import GoldenRunner
from appliance.inference.sources import LANGUAGE_MODEL, locate
from appliance.inference.store.importing import Order
from appliance.inference.stub import InsecureStubWarning, StubRuntime
from appliance.settings import Settings
from appliance.storage import tables

pytestmark = [pytest.mark.models, pytest.mark.usefixtures("own_models")]

LEAVE = "Every employee has thirty days of annual leave. Leave is requested two weeks before it begins, from the head."
KEYS = "The night porter keeps the keys of building seven in a grey cabinet. The cabinet stands behind the second door."
QUESTIONS = [
    Expected("How many days of annual leave has every employee?", ("thirty days",), "leave.md"),
    Expected("Who keeps the keys of building seven?", ("night porter",), "keys.md"),
    Expected("Which colour has the emperor's parrot?", silent=True),
]
BESIDE = "Leave is requested two weeks before it begins. The cabinet stands behind the second door."


def test_a_worse_version_is_kept_out_by_what_the_default_model_answers(
    appliance, administrator, tmp_path: Path, monkeypatch
) -> None:
    index_dataset(appliance, administrator, Dataset((Article("leave.md", (LEAVE,)), Article("keys.md", (KEYS,))), ()), print)
    own = next(item.id for item in appliance.collections.readable(administrator) if item.owner_id == administrator.id)
    made = appliance.golden.create(administrator, own, "Basics")
    appliance.golden.add(administrator, made.id, QUESTIONS)
    appliance.golden.change(administrator, made.id, required=True)
    path = tmp_path / "newer.gguf"
    path.write_bytes(locate(LANGUAGE_MODEL).read_bytes().replace(b"Smollm2 135M", b"Another 135M", 1))
    before = appliance.models.active("language").id
    candidate = appliance.model_importing.take_in(administrator, path, Order(name=before.partition("@")[0]))
    with appliance.database.write() as connection:  # before a larger model no quotation is shown, so that its words decide
        larger = tables.model_versions.update().where(tables.model_versions.c.id == candidate.id)
        connection.execute(larger.values(size_class="small"))
    with pytest.warns(InsecureStubWarning):
        worse = StubRuntime([BESIDE])
    new_router = appliance.new_router

    def with_the_worse_one():
        router = new_router()
        load = router._pool._load
        router._pool._load = lambda key, told: worse if key.model_id == candidate.id else load(key, told)
        return router

    monkeypatch.setattr(appliance, "new_router", with_the_worse_one)
    begun = appliance.golden.examine(administrator, candidate.id, activates=True)
    assert GoldenRunner(appliance, "test", yield_s=0).run_waiting() == 2
    serving, tried = (appliance.golden.result(administrator, run.id) for run in begun)
    assert [item.right for item in serving.outcomes] == [True] * 3, [item.answer for item in serving.outcomes]
    assert serving.run.conditions["answered_by"] == [before]
    assert (tried.run.worse, tried.run.regressed, tried.run.reason_code) == (2, True, "golden.regression")
    assert appliance.models.active("language").id == before
    with pytest.raises(Conflict) as refused:
        appliance.model_administration.activate(administrator, candidate.id)
    assert refused.value.stable_code == "golden.regression"
