"""A GGUF file that crashes the library is refused when it comes in; one that could not be tried is not."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from appliance.bootstrap import Appliance
from appliance.errors import InvalidInput
from appliance.identity.models import Principal
from appliance.inference.preparation_steps import run_step
from appliance.inference.store.importing import Order
from tests.unit.inference.gguf_samples import METADATA, gguf, write


def dying(directory: Path, number: signal.Signals) -> str:
    """In the place of the interpreter: a program that is killed."""
    program = directory / f"dies-of-{number.name}"
    program.write_text(f"#!/bin/sh\nkill -{number.value} $$\n")
    program.chmod(0o755)
    return str(program)


def test_a_file_that_crashes_the_library_is_refused_and_leaves_nothing(
    appliance: Appliance, administrator: Principal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, models = write(tmp_path / "bad.gguf", gguf(METADATA)), appliance.model_administration
    monkeypatch.setattr(sys, "executable", dying(tmp_path, signal.SIGABRT))
    with pytest.raises(InvalidInput, match="crashes the library") as refused:
        models.take_in(administrator, file, Order())
    assert refused.value.stable_code == "model.crashes"
    assert models.list(administrator) == []
    monkeypatch.setattr(sys, "executable", dying(tmp_path, signal.SIGKILL))
    assert models.take_in(administrator, file, Order()).state == "candidate", "for want of memory: not the file's fault"


def test_a_file_that_the_library_refuses_is_told_apart(tmp_path: Path) -> None:
    assert "could not be loaded" in run_step("try_gguf", write(tmp_path / "odd.gguf", gguf(METADATA)))["refused"]


@pytest.mark.models
def test_a_sound_file_passes(models_dir: Path) -> None:
    largest = max((models_dir / "files").glob("*/*"), key=lambda path: path.stat().st_size)
    assert run_step("try_gguf", largest) == {"refused": ""}
