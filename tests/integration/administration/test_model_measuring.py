"""Measuring one version: for real, and what becomes of the figures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import select

from appliance.administration import model_measuring
from appliance.bootstrap import Appliance
from appliance.errors import Conflict, Denied, InvalidInput
from appliance.inference.store.importing import Order
from appliance.storage.tables import audit_events
from tests.unit.inference.gguf_samples import gguf, write


@pytest.fixture
def source(appliance: Appliance, administrator, tmp_path: Path):
    path = write(tmp_path / "tiny.gguf", gguf())
    version = appliance.model_importing.take_in(administrator, path, Order())
    return appliance.model_administration.activate(administrator, version.id)


def scripted(name: str, *arguments: object) -> dict[str, float]:
    """The steps without their native code."""
    if name == "quality":
        return {"quality": 0.8, "questions": 36}
    return {"prefill_tokens_per_s": 100.0, "decode_tokens_per_s": 50.0, "memory_mb": 99}


def last_event(appliance: Appliance) -> tuple[str, dict]:
    with appliance.database.read() as connection:
        row = connection.execute(select(audit_events).order_by(audit_events.c.seq.desc()).limit(1)).one()
    return row.event, json.loads(row.body).get("facts", {})


def test_what_was_measured_is_stored_with_the_version(appliance, administrator, source, monkeypatch):
    monkeypatch.setattr(model_measuring, "run_step_aside", scripted)
    version = appliance.model_measuring.bench(administrator, source.id, lambda _: None)
    figures = {"prefill_tokens_per_s": 100.0, "decode_tokens_per_s": 50.0, "memory_mb": 99, "quality": 0.8, "questions": 36}
    assert version.measured == figures
    assert last_event(appliance)[1]["quality"] == "0.8"


def test_measuring_is_refused_to_others_and_for_what_cannot_be_measured(appliance, administrator, alice, source, tmp_path):
    with pytest.raises(Denied):
        appliance.model_measuring.bench(alice, source.id, print)
    path = write(tmp_path / "sealed.gguf", gguf())
    sealed = appliance.model_importing.take_in(administrator, path, Order(name="sealed", encrypt=True))
    with pytest.raises(InvalidInput) as refusal:
        appliance.model_measuring.bench(administrator, sealed.id, print)
    assert refusal.value.stable_code == "model.not_measurable"


def test_two_do_not_measure_each_other(appliance, administrator, source, monkeypatch):
    def meddling(name: str, *arguments: object) -> dict[str, float]:
        with pytest.raises(Conflict) as refusal:
            appliance.model_measuring.bench(administrator, source.id, print)
        assert refusal.value.stable_code == "model.measuring"
        return scripted(name, *arguments)

    monkeypatch.setattr(model_measuring, "run_step_aside", meddling)
    assert appliance.model_measuring.bench(administrator, source.id, lambda _: None).measured["quality"] == 0.8
    monkeypatch.setattr(model_measuring, "run_step_aside", scripted)
    assert appliance.model_measuring.bench(administrator, source.id, lambda _: None).measured["quality"] == 0.8


@pytest.mark.models
def test_the_default_model_is_measured_for_real(appliance_with_models: Appliance, administrator):
    active = appliance_with_models.models.active("language")
    version = appliance_with_models.model_measuring.bench(administrator, active.id, print)
    assert version.measured["prefill_tokens_per_s"] > version.measured["decode_tokens_per_s"] > 1
    assert version.measured["quality"] >= 0.5
    assert 100 < version.measured["memory_mb"] < 1_000
