"""Optimising: the fastest variant is kept where it answers as well as its source, with the table of what was measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import select

from appliance.administration import model_measuring
from appliance.bootstrap import Appliance
from appliance.errors import Denied, InvalidInput, SetupError
from appliance.inference.store.importing import Order
from appliance.inference.store.versions import VersionState
from appliance.storage.tables import audit_events
from tests.unit.inference.gguf_samples import METADATA, gguf, write

SPEEDS = {"weights": (100.0, 50.0), "Q4_0": (700.0, 90.0), "Q4_K_M": (300.0, 60.0), "Q8_0": (500.0, 70.0)}
FILE_TYPES = {"Q4_0": 2, "Q4_K_M": 15, "Q8_0": 7}


@pytest.fixture
def source(appliance: Appliance, administrator, tmp_path: Path):
    path = write(tmp_path / "tiny.gguf", gguf())
    version = appliance.model_administration.take_in(administrator, path, Order())
    return appliance.model_administration.activate(administrator, version.id)


def scripted(answered: dict[str, float]):
    """The steps without their native code: formats are known by the names of their files."""

    def step(name: str, *arguments: object) -> dict[str, float]:
        path = Path(str(arguments[1 if name in {"quality", "requantise"} else 0]))
        title = path.stem if path.stem in SPEEDS else "weights"
        if name == "requantise":
            path.write_bytes(gguf(METADATA | {"general.file_type": FILE_TYPES[title]}))
            return {}
        if name == "quality":
            return {"quality": answered[title]}
        prefill, decode = SPEEDS[title]
        return {"prefill_tokens_per_s": prefill, "decode_tokens_per_s": decode, "context_tokens": 512, "memory_mb": 99}

    return step


def last_event(appliance: Appliance) -> tuple[str, dict]:
    with appliance.database.read() as connection:
        row = connection.execute(select(audit_events).order_by(audit_events.c.seq.desc()).limit(1)).one()
    return row.event, json.loads(row.body).get("facts", {})


CASES = [
    ({"weights": 0.80, "Q4_0": 0.80, "Q4_K_M": 0.8, "Q8_0": 0.8}, "Q4_0"),
    ({"weights": 0.80, "Q4_0": 0.75, "Q4_K_M": 0.8, "Q8_0": 0.8}, "Q4_0"),  # two questions of 36 less
    ({"weights": 0.80, "Q4_0": 0.73, "Q4_K_M": 0.8, "Q8_0": 0.8}, "Q8_0"),  # three are too many
    ({"weights": 0.80, "Q4_0": 0.10, "Q4_K_M": 0.8, "Q8_0": 0.6}, "Q4_K_M"),
    ({"weights": 0.80, "Q4_0": 0.10, "Q4_K_M": 0.1, "Q8_0": 0.1}, "F32"),
]


@pytest.mark.parametrize(("answered", "kept"), CASES)
def test_speed_is_never_bought_blindly(appliance, administrator, source, monkeypatch, answered, kept):
    monkeypatch.setattr(model_measuring, "run_step", scripted(answered))
    version = appliance.model_measuring.optimize(administrator, source.id, lambda _: None)
    assert version.quantisation == kept
    assert [trial["format"] for trial in version.trials] == ["F32", "Q4_0", "Q4_K_M", "Q8_0"]
    assert all({"quality", "memory_mb", "prefill_tokens_per_s", "decode_tokens_per_s"} <= set(trial) for trial in version.trials)
    if kept == "F32":
        assert version.id == source.id
        assert last_event(appliance)[0] == "model.measured"
    else:
        assert (version.id, version.made_from, version.state) == ("tiny@2", source.id, VersionState.CANDIDATE)
        assert last_event(appliance) == (
            "model.imported",
            {"sha256": version.sha256, "size_bytes": version.size_bytes, "format": "gguf", "made_from": source.id},
        )
    assert appliance.models.active("language").id == source.id
    assert not list(appliance.settings.models_dir.glob("incoming-*"))


def test_on_request_the_winner_answers_and_a_second_time_changes_nothing(appliance, administrator, source, monkeypatch):
    monkeypatch.setattr(model_measuring, "run_step", scripted(dict.fromkeys(SPEEDS, 0.8)))
    version = appliance.model_measuring.optimize(administrator, source.id, lambda _: None, activate=True)
    assert appliance.models.active("language").id == version.id == "tiny@2"
    again = appliance.model_measuring.optimize(administrator, source.id, lambda _: None, activate=True)
    assert again.id == version.id
    assert len(appliance.models.versions()) == 2
    assert appliance.model_administration.rollback(administrator, "tiny").id == source.id


def test_a_format_that_crashes_is_left_out_of_the_table(appliance, administrator, source, monkeypatch):
    plain = scripted(dict.fromkeys(SPEEDS, 0.8))

    def crashing(name: str, *arguments: object):
        if name == "measure" and "Q4_0" in str(arguments[0]):
            raise SetupError("Preparing the models failed at step measure.", code="setup.step_crashed")
        return plain(name, *arguments)

    monkeypatch.setattr(model_measuring, "run_step", crashing)
    version = appliance.model_measuring.optimize(administrator, source.id, lambda _: None)
    assert [trial["format"] for trial in version.trials] == ["F32", "Q4_K_M", "Q8_0"]
    assert version.quantisation == "Q8_0"


def test_what_was_measured_is_stored_with_the_version(appliance, administrator, source, monkeypatch):
    monkeypatch.setattr(model_measuring, "run_step", scripted({"weights": 0.8}))
    version = appliance.model_measuring.bench(administrator, source.id, lambda _: None)
    assert version.measured == {"prefill_tokens_per_s": 100.0, "decode_tokens_per_s": 50.0, "memory_mb": 99, "quality": 0.8}
    assert last_event(appliance)[1]["quality"] == "0.8"


def test_measuring_is_refused_to_others_and_for_what_cannot_be_measured(appliance, administrator, alice, source, tmp_path):
    for act in (appliance.model_measuring.bench, appliance.model_measuring.optimize):
        with pytest.raises(Denied):
            act(alice, source.id, print)
    path = write(tmp_path / "sealed.gguf", gguf())
    sealed = appliance.model_administration.take_in(administrator, path, Order(name="sealed", encrypt=True))
    with pytest.raises(InvalidInput) as refusal:
        appliance.model_measuring.optimize(administrator, sealed.id, print)
    assert refusal.value.stable_code == "model.not_measurable"


@pytest.mark.models
def test_the_default_model_is_measured_for_real(appliance_with_models: Appliance, administrator):
    active = appliance_with_models.models.active("language")
    version = appliance_with_models.model_measuring.bench(administrator, active.id, print)
    assert version.measured["prefill_tokens_per_s"] > version.measured["decode_tokens_per_s"] > 1
    assert version.measured["quality"] >= 0.5
    assert 100 < version.measured["memory_mb"] < 1_000
