"""A GGUF file that crashes the library is refused when it comes in; one that could not be tried is not."""

from __future__ import annotations

import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.bootstrap import Appliance
from appliance.audit.store import AuditFilter, search
from appliance.errors import Conflict, Denied, InvalidInput, NotFound
from appliance.identity.models import Principal
from appliance.inference.load_marks import TRIES, Load
from appliance.inference.preparation_steps import run_step
from appliance.inference.store import importing
from appliance.inference.store.importing import Order, Prepared
from appliance.inference.store.versions import ModelVersion
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
    file = write(tmp_path / "bad.gguf", gguf(METADATA))
    monkeypatch.setattr(sys, "executable", dying(tmp_path, signal.SIGABRT))
    with pytest.raises(InvalidInput, match="crashes the library") as refused:
        appliance.model_importing.take_in(administrator, file, Order())
    assert refused.value.stable_code == "model.crashes"
    assert appliance.model_administration.list(administrator) == []
    monkeypatch.setattr(sys, "executable", dying(tmp_path, signal.SIGKILL))
    assert appliance.model_importing.take_in(administrator, file, Order()).state == "candidate", (
        "for want of memory: not the file's fault"
    )


def test_a_file_that_the_library_refuses_is_told_apart(tmp_path: Path) -> None:
    assert "could not be loaded" in run_step("try_gguf", write(tmp_path / "odd.gguf", gguf(METADATA)))["refused"]


def crash_twice(appliance: Appliance, version: ModelVersion) -> Load:
    load = Load(version.sha256, "llamacpp")
    loading = appliance.settings.data_dir / "loading"
    loading.mkdir(exist_ok=True)
    for number in range(TRIES):
        (loading / f"{load.sha256}.{load.runtime}.worker-answers-{number}.died").touch()
    assert load in appliance.load_marks.crashed()
    return load


def test_crashes_are_forgotten_by_what_lets_a_version_answer_and_by_no_refused_try(
    appliance: Appliance, administrator: Principal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "_refuse_crashing", lambda _: None)
    models, marks, directory = appliance.model_administration, appliance.load_marks, tmp_path / "stick"
    directory.mkdir()
    first = appliance.model_importing.take_in(administrator, write(directory / "tiny.gguf", gguf(METADATA)), Order())
    longer = gguf(METADATA | {"llama.context_length": 256})
    second = appliance.model_importing.take_in(administrator, write(directory / "tiny.gguf", longer), Order())

    load = crash_twice(appliance, first)
    with monkeypatch.context() as gone:
        gone.setattr(appliance.models.content, "holds", lambda _: False)
        for refused in (
            lambda: models.activate(administrator, first.id),
            lambda: models.canary(administrator, first.id, percent=5),
        ):
            with pytest.raises(Conflict):
                refused()
            assert load in marks.crashed()
    for version, act in (
        (first, lambda: models.canary(administrator, first.id, percent=5)),
        (first, lambda: models.activate(administrator, first.id)),
        (first, lambda: models.activate(administrator, first.id)),
        (second, lambda: models.activate(administrator, second.id)),
        (first, lambda: models.rollback(administrator, "tiny")),
    ):
        crash_twice(appliance, version)
        act()
        assert marks.crashed() == frozenset()


def test_what_could_not_be_loaded_is_tried_again_by_hand_by_an_import_or_by_what_lets_it_answer(
    appliance: Appliance, administrator: Principal, alice: Principal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", dying(tmp_path, signal.SIGKILL))
    models, failures = appliance.model_administration, appliance.load_failures
    file = write(tmp_path / "tiny.gguf", gguf(METADATA))
    first = appliance.model_importing.take_in(administrator, file, Order())
    with pytest.raises(Conflict, match=r"Nothing keeps tiny@1 from being loaded\."):
        models.retry(administrator, first.id)
    with pytest.raises(NotFound):
        models.retry(administrator, "tiny@7")

    def fail(version: ModelVersion) -> None:
        assert failures.note((version.id, "llamacpp"), "inference.load_failed", "There is not enough memory.")
        assert models.unloadable(administrator)[first.id].startswith("It could not be loaded: There is not enough memory.")

    fail(first)
    with pytest.raises(Denied):
        models.retry(alice, first.id)
    with pytest.raises(Denied):
        models.unloadable(alice)
    assert set(failures.known()) == {(first.id, "llamacpp")}
    crash_twice(appliance, first)
    assert "ended its process 2 times" in models.unloadable(administrator)[first.id]
    assert models.retry(administrator, first.id).id == first.id
    assert models.unloadable(administrator) == {}
    with appliance.database.read() as connection:
        (record,) = search(connection, AuditFilter(event="model.retried"), limit=5)
    assert (record.facts, record.outcome) == ({"forgotten": "crashes,failures"}, "success")

    for act in (
        lambda: models.canary(administrator, first.id, percent=5),
        lambda: models.activate(administrator, first.id),
        lambda: models.activate(administrator, first.id),
        lambda: appliance.model_importing.take_in(administrator, file, Order(name="same-content")),
    ):
        fail(first)
        act()
        assert failures.known() == {}
    fail(first)
    models.activate(administrator, "same-content@1")
    models.retire(administrator, first.id)
    models.delete(administrator, first.id)
    assert failures.known() == {}


def test_what_comes_in_without_a_digest_is_no_other_one_made_whole(
    appliance: Appliance, administrator: Principal, tmp_path: Path
) -> None:
    file = appliance.model_importing.take_in(administrator, write(tmp_path / "tiny.gguf", gguf(METADATA)), Order())
    one, other = (
        Prepared(replace(file, name=name, number=0, format="served", sha256="", source=f"destination:{name}:m"), lambda: None)
        for name in ("one", "other")
    )
    known = appliance.model_importing.record(administrator, one)
    appliance.load_failures.note((known.id, "openai"), "inference.unreachable", "Nobody answers there.")
    appliance.model_importing.record(administrator, other)
    assert known.id in appliance.model_administration.unloadable(administrator)


@pytest.mark.models
def test_a_sound_file_passes(models_dir: Path) -> None:
    largest = max((models_dir / "files").glob("*/*"), key=lambda path: path.stat().st_size)
    assert run_step("try_gguf", largest) == {"refused": ""}
