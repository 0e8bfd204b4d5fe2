"""Preparing the models: wrong files are refused, interruption leaves nothing, the second run is free."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from appliance.errors import SetupError
from appliance.inference import preparation, preparation_steps
from appliance.inference.store.manifest import read_manifest
from appliance.inference.sources import LANGUAGE_MODEL, SourceFile, locate
from appliance.inference.store import ModelStore
from appliance.storage.digests import digest_of

pytestmark = pytest.mark.models
ROOT = Path(__file__).resolve().parents[3]


def refuse_everything(*arguments: object) -> None:
    raise AssertionError(f"nothing should be prepared: {arguments}")


@pytest.fixture
def prepared(models_dir: Path, tmp_path: Path) -> Path:
    """A copy that may be damaged."""
    copy = tmp_path / "models"
    shutil.copytree(models_dir, copy)
    return copy


def test_a_source_with_another_digest_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    forged = replace(LANGUAGE_MODEL, sha256="0" * 64)
    monkeypatch.setattr(preparation, "SOURCES", (forged,))
    with pytest.raises(SetupError) as refusal:
        preparation.prepare_models(tmp_path, print)
    assert refusal.value.stable_code == "setup.model_digest"
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_a_missing_package_is_named():
    with pytest.raises(SetupError, match="no-such-model") as refusal:
        locate(SourceFile("no-such-model", "weights.bin", ""))
    assert refusal.value.stable_code == "setup.model_missing"


def test_a_directory_that_cannot_be_written_is_one_sentence(tmp_path: Path):
    (tmp_path / "models").write_text("a file stands where the directory should be")
    with pytest.raises(SetupError) as refusal:
        preparation.prepare_models(tmp_path / "models", print)
    assert refusal.value.stable_code == "setup.models_dir"


def test_a_prepared_file_that_was_changed_is_not_loaded(prepared: Path):
    store = ModelStore(prepared)
    model = store.active("language")
    file = prepared / model.file
    with file.open("r+b") as opened:
        opened.seek(50_000_000)
        opened.write(b"\x00\x01\x02\x03")
    with pytest.raises(SetupError) as refusal:
        store.verified_path(model)
    assert refusal.value.stable_code == "setup.model_digest"


def test_a_damaged_list_of_models_is_one_sentence(prepared: Path):
    (prepared / "manifest.json").write_text('{"version": 1, "models": 3')
    with pytest.raises(SetupError) as refusal:
        ModelStore(prepared).models()
    assert refusal.value.stable_code == "setup.model_manifest"


def test_nothing_prepared_means_nothing_active(tmp_path: Path):
    assert ModelStore(tmp_path).models() == []
    with pytest.raises(SetupError) as refusal:
        ModelStore(tmp_path).active("language")
    assert refusal.value.stable_code == "setup.model_missing"


def test_the_second_run_is_silent_and_fast(models_dir: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(preparation, "run_step", refuse_everything)
    said: list[str] = []
    start = time.perf_counter()
    preparation.prepare_models(models_dir, said.append)
    assert time.perf_counter() - start < 0.5
    assert said == []


def test_a_source_that_only_looks_changed_is_verified_and_nothing_is_made_again(prepared: Path, monkeypatch: pytest.MonkeyPatch):
    manifest = json.loads((prepared / "manifest.json").read_text())
    manifest["sources"][LANGUAGE_MODEL.path]["modified_ns"] = 1
    (prepared / "manifest.json").write_text(json.dumps(manifest))
    monkeypatch.setattr(preparation, "run_step", refuse_everything)
    said: list[str] = []
    preparation.prepare_models(prepared, said.append)
    assert len(said) == 1
    renewed = read_manifest(prepared)
    assert renewed is not None
    assert renewed.sources[LANGUAGE_MODEL.path].modified_ns != 1


def test_an_interrupted_preparation_leaves_nothing_half_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def interrupted(name: str, *arguments: object) -> dict[str, float]:
        if name == "measure":
            raise KeyboardInterrupt
        Path(str(arguments[2])).write_bytes(b"graph")
        return {"cosine_to_float32": 0.99, "tokens_per_s": 1.0}

    monkeypatch.setattr(preparation, "run_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        preparation.prepare_models(tmp_path, lambda _: None)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


@pytest.mark.parametrize(
    ("answered", "chosen"),
    [
        ({}, "Q4_0"),  # the fastest, where all answer alike
        ({"Q4_0": 0.67}, "Q4_0"),  # one question of a dozen less is within the margin
        ({"Q4_0": 0.42}, "Q8_0"),  # the next one, where the fastest lost its wits
        ({"Q4_0": 0.42, "Q8_0": 0.5}, "Q4_1"),  # what was published, where all others did
    ],
)
def test_leftovers_of_a_killed_preparation_go_and_the_best_format_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answered: dict[str, float], chosen: str
):
    (tmp_path / "preparing-old").mkdir()
    speeds = {"Q4_1": (100.0, 50.0), "Q4_0": (400.0, 60.0), "Q8_0": (300.0, 40.0)}
    timed: dict[str, int] = {}

    def quick(name: str, *arguments: object) -> dict[str, float]:
        if name == "measure":
            path = Path(str(arguments[1]))
            title = path.stem if path.stem in speeds else "Q4_1"
            timed[title] = timed.get(title, 0) + 1
            busy = 10 if (title, timed[title]) == ("Q8_0", 1) else 1  # the machine had something else to do
            prefill, decode = (speed / busy for speed in speeds[title])
            return {"prefill_tokens_per_s": prefill, "decode_tokens_per_s": decode, "memory_mb": 200}
        if name == "quality":
            return {"quality": answered.get(Path(str(arguments[1])).stem, 0.75)}
        Path(str(arguments[2 if name == "build_embedder" else 1])).write_bytes(name.encode())
        return {"cosine_to_float32": 0.99, "tokens_per_s": 1.0}

    monkeypatch.setattr(preparation, "run_step", quick)
    preparation.prepare_models(tmp_path, lambda _: None)
    language = ModelStore(tmp_path).active("language")
    assert language.format == f"GGUF {chosen}"
    assert language.licence == "Apache-2.0"
    assert language.measured["quality"] == answered.get(chosen, 0.75)
    assert "context_tokens" not in language.measured
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "files", "manifest.json"]
    assert all(digest_of(path) == path.name for path in tmp_path.glob("files/*/*"))
    manifest = read_manifest(tmp_path)
    assert manifest is not None
    speed = {trial["format"]: trial.get("prefill_tokens_per_s") for trial in manifest.trials}
    assert speed == {"Q4_1": 100.0, "Q8_0": 300.0, "Q4_0": 400.0, "F16": None, "Q5_1": None, "Q4_K_M": None, "1-bit": None}
    assert [trial["format"] for trial in manifest.trials if trial["outcome"] == "kept"] == [chosen]
    assert all(trial["reason"] for trial in manifest.trials)


def test_a_format_that_crashes_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def crashing(name: str, *arguments: object) -> dict[str, float]:
        if name == "requantise":
            raise SetupError("Preparing the models failed at step requantise.", code="setup.step_crashed")
        if name == "build_embedder":
            Path(str(arguments[2])).write_bytes(b"graph")
            return {"cosine_to_float32": 0.99, "tokens_per_s": 1.0}
        return {"prefill_tokens_per_s": 1.0, "decode_tokens_per_s": 1.0, "memory_mb": 200}

    monkeypatch.setattr(preparation, "run_step", crashing)
    said: list[str] = []
    preparation.prepare_models(tmp_path, said.append)
    assert ModelStore(tmp_path).active("language").format == "GGUF Q4_1"
    assert sum("does not work" in line for line in said) == 2


def test_a_native_failure_becomes_a_sentence(tmp_path: Path):
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + b"\xff" * 100)
    with pytest.raises(SetupError) as refusal:
        preparation_steps.run_step("measure", "llamacpp", broken, 1, 1)
    assert "\n" not in refusal.value.sentence


def test_a_process_that_dies_becomes_a_sentence(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(preparation_steps.sys, "executable", "/bin/false")
    with pytest.raises(SetupError) as refusal:
        preparation_steps.run_step("measure", "llamacpp", "anything", 1, 1)
    assert refusal.value.stable_code == "setup.step_crashed"


def test_a_step_ends_with_whoever_started_it(models_dir: Path):
    model = models_dir / ModelStore(models_dir).active("language").file
    program = f"from appliance.inference.preparation_steps import run_step; run_step('quality', 'llamacpp', {str(model)!r}, 1, 0)"
    parent = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT)
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
    try:
        step = awaited(lambda: children.read_text().split())[0]
        awaited(lambda: b"libllama" in Path(f"/proc/{step}/maps").read_bytes())  # in the middle of it
    finally:
        parent.kill()
        parent.wait()
    awaited(lambda: ended(step))


def ended(process: str) -> bool:
    """Nobody may be there to take note of it."""
    try:
        return "(zombie)" in Path(f"/proc/{process}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


def awaited(look: Callable[[], Any]) -> Any:
    """What `look` finds, as soon as it finds something."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if found := look():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not happen")


def test_memory_is_that_of_the_measuring_not_of_who_started_it():
    held = b"x" * 500_000_000
    program = "from appliance.inference.preparation_steps import _peak_mb; print(_peak_mb())"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, cwd=ROOT)
    assert len(held) > 0
    assert 5 < int(told.stdout) < 250
