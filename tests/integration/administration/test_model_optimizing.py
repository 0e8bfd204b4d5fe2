"""Optimising: every form this machine may use is made, measured and told of; what answers as well and is fastest is kept."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from appliance.administration import model_optimizing
from appliance.administration.model_optimizing import ModelOptimizing
from appliance.bootstrap import Appliance
from appliance.errors import Conflict, Denied, InvalidInput, SetupError, Unavailable
from appliance.inference.preparation_steps import run_step_aside
from appliance.inference.quantisations import QUANTISATIONS
from appliance.inference.registry import Availability, runtime_specs
from appliance.inference.store import ModelStore, importing
from appliance.inference.store.gguf import read_gguf
from appliance.inference.store.importing import Order
from appliance.inference.store.versions import ModelVersion, VersionState
from appliance.inference.variants import Contest, Trial
from appliance.storage.tables import audit_events
from tests.integration.administration.test_genai_folders import folder  # noqa: F401 - a fixture
from tests.unit.inference.gguf_samples import METADATA, gguf, write

MADE = ["F16", "Q8_0", "Q5_1", "Q4_K_M", "Q4_0"]
SPEEDS = {
    "weights": (100.0, 50.0),
    "F16": (90.0, 45.0),
    "Q8_0": (400.0, 70.0),
    "Q5_1": (95.0, 55.0),
    "Q4_K_M": (300.0, 60.0),
    "Q4_0": (500.0, 80.0),
    "folder": (600.0, 60.0),
}
NUMBERS = {item.name: item.number for item in QUANTISATIONS}


@pytest.fixture
def source(appliance: Appliance, administrator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelVersion:
    monkeypatch.setattr(importing, "run_step", lambda *_: {})  # imports are tried elsewhere
    path = write(tmp_path / "tiny.gguf", gguf())
    version = appliance.model_importing.take_in(administrator, path, Order())
    return appliance.model_administration.activate(administrator, version.id)


@pytest.fixture
def optimize(appliance: Appliance, administrator, monkeypatch: pytest.MonkeyPatch):
    """`optimize` with steps that need no native code."""

    def act(version: ModelVersion, step=None, said=None, *, activate: bool = False) -> ModelVersion:
        monkeypatch.setattr(model_optimizing, "run_step_aside", step or scripted())
        progress = (lambda _: None) if said is None else said.append
        return appliance.model_optimizing.optimize(administrator, version.id, progress, activate=activate)

    return act


def scripted(answered: dict[str, float] | None = None, folder: Path | None = None):
    """The steps without their native code: variants are known by the names of their files."""

    def step(name: str, *arguments: object) -> dict[str, float]:
        path = Path(str(arguments[1]))
        title = "folder" if path.is_dir() else path.stem if path.stem in SPEEDS else "weights"
        if name == "requantise":
            path.write_bytes(gguf(METADATA | {"general.file_type": NUMBERS[path.stem]}))
            return {}
        if name == "write_folder":
            if folder is None:
                raise SetupError("Only models of the Llama family are converted.", code="model.not_convertible")
            shutil.copytree(folder, path)
            return {}
        if name == "quality":
            return {"quality": (answered or {}).get(title, 0.8), "questions": 36}
        if name == "four_at_once":
            return {"four_at_once": 1.0 if title == "folder" else 2.0}
        prefill, decode = SPEEDS[title]
        return {"prefill_tokens_per_s": prefill, "decode_tokens_per_s": decode, "memory_mb": 99}

    return step


def last_event(appliance: Appliance) -> tuple[str, dict]:
    with appliance.database.read() as connection:
        row = connection.execute(select(audit_events).order_by(audit_events.c.seq.desc()).limit(1)).one()
    return row.event, json.loads(row.body).get("facts", {})


def told(version: ModelVersion) -> dict[str, tuple[str, str]]:
    return {trial["format"]: (trial["outcome"], trial["reason"]) for trial in version.trials}


def nothing_left(appliance: Appliance) -> bool:
    return not list(appliance.settings.models_dir.glob("incoming-*"))


@pytest.mark.parametrize(
    ("answered", "kept"),
    [
        ({}, "Q4_0"),
        ({"Q4_0": 0.75}, "Q4_0"),  # two questions of 36 less
        ({"Q4_0": 0.7}, "Q8_0"),  # more are too many
        ({"Q4_0": 0.1, "Q8_0": 0.6}, "Q4_K_M"),
        (dict.fromkeys(MADE, 0.1), "F32"),
    ],
)
def test_speed_is_never_bought_blindly(appliance, source, optimize, answered: dict[str, float], kept: str):
    version = optimize(source, scripted(answered))
    outcomes = told(version)
    assert version.quantisation == kept
    assert [name for name, (outcome, _) in outcomes.items() if outcome == "kept"] == [kept]
    assert list(outcomes) == ["F32", *MADE, "1-bit", "folder"]
    assert outcomes["1-bit"][0] == "left out"
    assert outcomes["folder"] == ("left out", "Only models of the Llama family are converted.")
    figures = {"quality", "memory_mb", "prefill_tokens_per_s", "decode_tokens_per_s", "runtime"}
    assert all(figures <= set(trial) for trial in version.trials if trial["outcome"] in {"kept", "lost"})
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
    assert nothing_left(appliance)


def test_what_is_far_behind_is_given_up_before_it_is_asked(source, optimize):
    asked, plain = [], scripted()

    def step(name: str, *arguments: object):
        if name == "quality":
            asked.append(Path(str(arguments[1])).stem)
        return plain(name, *arguments)

    outcomes = told(optimize(source, step))
    assert outcomes["F16"][0] == outcomes["Q5_1"][0] == "dropped"
    assert "times as long as with Q4_0" in outcomes["F16"][1]
    assert outcomes["F32"][0] == "lost"  # far behind, too, but the one the others are compared with
    assert asked[1:] == ["Q4_0", "Q8_0", "Q4_K_M"]


def test_what_lost_its_wits_is_no_measure_for_others(source, optimize):
    speeds = SPEEDS | {"Q4_0": (5_000.0, 800.0)}
    plain = scripted({"Q4_0": 0.1})

    def step(name: str, *arguments: object):
        found = plain(name, *arguments)
        if name == "measure":
            found |= dict(zip(found, speeds.get(Path(str(arguments[1])).stem, speeds["weights"]), strict=False))
        return found

    outcomes = told(optimize(source, step))
    assert outcomes["Q8_0"][0] == "kept"
    assert outcomes["Q4_0"] == ("lost", "It answers 4 of 36 rightly, its source 29.")
    assert outcomes["Q4_K_M"][0] == "lost"


def test_on_request_the_winner_answers_and_a_second_time_changes_nothing(appliance, administrator, source, optimize):
    version = optimize(source, activate=True)
    assert appliance.models.active("language").id == version.id == "tiny@2"
    again = optimize(source, activate=True)
    assert again.id == version.id
    assert len(appliance.models.versions()) == 2
    assert appliance.model_administration.rollback(administrator, "tiny").id == source.id


@pytest.mark.parametrize("failing", ["requantise", "measure", "quality"])
def test_a_format_that_fails_is_told_of_and_not_kept(appliance, source, optimize, failing: str):
    plain = scripted()

    def crashing(name: str, *arguments: object):
        if name == failing and "Q4_0" in str(arguments[1]):
            raise SetupError("Its process ended with status -11.", code="setup.step_crashed")
        return plain(name, *arguments)

    version = optimize(source, crashing)
    assert told(version)["Q4_0"] == ("failed", "Its process ended with status -11.")
    assert version.quantisation == "Q8_0"
    assert nothing_left(appliance)


def test_where_nothing_runs_the_reason_of_the_version_itself_is_given(appliance, source, optimize):
    def crashing(name: str, *arguments: object):
        raise SetupError(f"{name} crashed.", code="setup.step_crashed")

    with pytest.raises(SetupError, match="measure crashed"):
        optimize(source, crashing)
    assert [version.id for version in appliance.models.versions()] == [source.id]
    assert nothing_left(appliance)


def test_memory_is_a_limit(appliance, administrator, source, monkeypatch):
    monkeypatch.setattr(model_optimizing, "run_step_aside", scripted())
    parts = (appliance.model_measuring, appliance.model_importing, appliance.model_administration)
    none_left = ModelOptimizing(appliance.access, appliance.models, *parts, headroom_mb=10**9)
    with pytest.raises(InvalidInput) as refusal:
        none_left.optimize(administrator, source.id, print)
    assert refusal.value.stable_code == "model.too_large"
    assert nothing_left(appliance)


def test_a_full_disk_is_found_before_anything_is_made(appliance, source, optimize, monkeypatch):
    monkeypatch.setattr("appliance.inference.store.incoming.shutil.disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 9_000))
    with pytest.raises(Unavailable) as refusal:
        optimize(source)
    assert refusal.value.stable_code == "disk.full"
    assert nothing_left(appliance)


def test_only_one_at_a_time(appliance, administrator, source, optimize):
    plain = scripted()

    def meddling(name: str, *arguments: object):
        with pytest.raises(Conflict) as refusal:
            appliance.model_optimizing.optimize(administrator, source.id, print)
        assert refusal.value.stable_code == "model.measuring"
        return plain(name, *arguments)

    assert optimize(source, meddling).id == "tiny@2"


def test_it_is_refused_to_others_and_for_what_cannot_be_measured(appliance, administrator, alice, source, tmp_path):
    with pytest.raises(Denied):
        appliance.model_optimizing.optimize(alice, source.id, print)
    path = write(tmp_path / "sealed.gguf", gguf())
    sealed = appliance.model_importing.take_in(administrator, path, Order(name="sealed", encrypt=True))
    with pytest.raises(InvalidInput) as refusal:
        appliance.model_optimizing.optimize(administrator, sealed.id, print)
    assert refusal.value.stable_code == "model.not_measurable"


def test_a_file_that_was_exchanged_is_not_measured(appliance, source, optimize):
    (appliance.settings.models_dir / source.file).write_bytes(gguf() + b"x")
    with pytest.raises(SetupError) as refusal:
        optimize(source)
    assert refusal.value.stable_code == "setup.model_digest"


FAST = {"folder": (2_000.0, 200.0)}


def test_a_folder_is_made_where_it_can_be_and_kept_where_it_wins(appliance, source, optimize, folder, monkeypatch):
    monkeypatch.setattr(f"{__name__}.SPEEDS", SPEEDS | FAST)
    version = optimize(source, scripted(folder=folder))
    assert (version.id, version.format, version.made_from, version.state) == (
        "tiny@2",
        "genai",
        source.id,
        VersionState.CANDIDATE,
    )
    kept = next(trial for trial in version.trials if trial["outcome"] == "kept")
    assert (kept["runtime"], kept["format"], kept["four_at_once"]) == ("genai", "fp32", 1.0)
    assert {trial["runtime"] for trial in version.trials} == {"llamacpp", "genai"}
    assert nothing_left(appliance)

    steps, plain = [], scripted()
    again = optimize(source, lambda name, *rest: steps.append(name) or plain(name, *rest))
    assert "write_folder" not in steps  # the one that is stored is measured
    assert again.id == version.id
    assert [trial.get("version") for trial in again.trials if trial["outcome"] == "kept"] == [version.id]
    assert len(appliance.models.versions()) == 2


def test_answering_four_at_once_counts_as_much_as_answering_one(source, optimize, folder, monkeypatch):
    monkeypatch.setattr(f"{__name__}.SPEEDS", SPEEDS | {"folder": (600.0, 90.0)})  # alone it is the fastest
    version = optimize(source, scripted(folder=folder))
    assert version.quantisation == "Q4_0"
    assert {trial["format"] for trial in version.trials if "four_at_once" in trial} == {"Q4_0", "Q4_K_M", "Q8_0", "F32", "fp32"}
    lost = next(trial for trial in version.trials if trial["runtime"] == "genai")
    assert lost["outcome"] == "lost"
    assert lost["four_at_once"] == 1.0


def test_those_that_lost_their_wits_are_not_asked_four_at_once(source, optimize, folder):
    trials = {trial["format"]: trial for trial in optimize(source, scripted({"Q4_0": 0.1, "folder": 0.1}, folder)).trials}
    assert not any("four_at_once" in trial for trial in trials.values())  # those that are left use one runtime
    trials = {trial["format"]: trial for trial in optimize(source, scripted({"Q4_0": 0.1}, folder)).trials}
    assert "four_at_once" not in trials["Q4_0"]
    assert trials["Q8_0"]["four_at_once"] == 2.0


def test_what_is_stored_in_the_other_format_is_compared_both_ways(
    appliance, administrator, source, optimize, folder, monkeypatch
):
    stored = appliance.model_importing.take_in(administrator, folder, Order(name="tiny"))
    monkeypatch.setattr(f"{__name__}.SPEEDS", SPEEDS | FAST)
    assert optimize(source).id == stored.id
    monkeypatch.setattr(f"{__name__}.SPEEDS", SPEEDS | {"folder": (50.0, 20.0)})
    version = optimize(stored)
    assert version.id == source.id
    assert [(trial["runtime"], trial["version"]) for trial in version.trials] == [("genai", stored.id), ("llamacpp", source.id)]
    (appliance.settings.models_dir / stored.file / "model.onnx").write_bytes(b"exchanged")
    spoiled = next(trial for trial in optimize(source).trials if trial["runtime"] == "genai")
    assert spoiled["outcome"] == "left out"
    assert "was exchanged" in spoiled["reason"]


def test_what_is_stored_with_another_modelfile_or_encrypted_takes_no_part(
    appliance, administrator, source, optimize, folder, tmp_path
):
    (tmp_path / "Modelfile").write_text('FROM .\nSYSTEM "Answer in verse."\n')
    other = appliance.model_importing.take_in(administrator, folder, Order(name="tiny", modelfile=tmp_path / "Modelfile"))
    sealed = appliance.model_importing.take_in(administrator, folder, Order(name="tiny", encrypt=True))
    reasons = [trial["reason"] for trial in optimize(source).trials if trial["runtime"] == "genai"]
    assert reasons[0] == f"{sealed.id} is encrypted, and would have to lie open to be measured."
    assert reasons[1] == f"{other.id} has another Modelfile."
    assert len(reasons) == 3  # the folder that cannot be made here


def test_a_folder_alone_has_nothing_to_be_compared_with(appliance, administrator, optimize, folder):
    stored = appliance.model_importing.take_in(administrator, folder, Order())
    with pytest.raises(InvalidInput) as refusal:
        optimize(stored)
    assert refusal.value.stable_code == "model.nothing_to_compare"


def test_a_runtime_that_is_not_installed_is_told_of(source, optimize, monkeypatch):
    spec = runtime_specs()["genai"]
    missing = replace(spec, probe=lambda: Availability(usable=False, reason="onnxruntime-genai is not installed."))
    monkeypatch.setattr(model_optimizing, "runtime_specs", lambda: {"genai": missing})
    assert told(optimize(source))["folder"] == ("left out", "onnxruntime-genai is not installed.")


@pytest.mark.models
def test_two_runtimes_are_compared_for_real(models_dir: Path, tmp_path: Path):
    model = ModelStore(models_dir).active("language")
    source, folder = models_dir / model.file, tmp_path / "folder"
    written = Trial("folder", "genai", folder, make=lambda: run_step_aside("write_folder", source, folder))
    cut_off = Trial("cut off", path=write(tmp_path / "cut.gguf", source.read_bytes()[:1_000_000]))
    contest = Contest([Trial("source", path=source), written, cut_off], 10**6, run_step_aside, print, 2, passes=1)
    contest.time()
    for trial in contest.running:
        contest.ask(trial)
    contest.keep_company()
    best = contest.winner()
    assert best is not None
    assert best.verdict is not None
    assert cut_off.row()["outcome"] == "failed"
    for trial in contest.trials[:2]:
        assert trial.measured["prefill_tokens_per_s"] > 1 < trial.measured["decode_tokens_per_s"]
        assert 100 < trial.measured["memory_mb"] < 1_000
        assert trial.row()["outcome"] in {"kept", "lost", "dropped"}


@pytest.mark.models
def test_every_format_of_the_list_is_made_for_real(models_dir: Path, tmp_path: Path):
    model = ModelStore(models_dir).active("language")
    sizes = []
    for item in QUANTISATIONS:
        target = tmp_path / item.name
        run_step_aside("requantise", models_dir / model.file, target, item.number)
        assert read_gguf(target).quantisation == item.called
        sizes.append(target.stat().st_size)
        target.unlink()
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize("sha_known", [True, False])
def test_what_a_killed_one_leaves_is_gone_with_the_next(appliance: Appliance, source, sha_known: bool):
    """Killed between the file's last move and its row: the file is in its place, and the draft's directory says so."""
    content, models_dir = appliance.models.content, appliance.settings.models_dir
    with content.draft() as draft:
        (draft / "weights").write_bytes(b"weights" if not sha_known else gguf())
        sha256 = source.sha256 if sha_known else "ab" * 32
        (models_dir / source.file).unlink()
        content.settle_file(draft / "weights", sha256)
        (draft / "Q4_0.gguf").write_bytes(b"half")
        content.remove_abandoned()
        assert draft.exists()  # somebody's
        shutil.copytree(draft, models_dir / "incoming-killed")
    content.remove_abandoned()
    assert nothing_left(appliance)
    assert content.file_path(sha256).exists() is sha_known
