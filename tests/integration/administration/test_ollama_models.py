"""The models inside the Ollama of this box as an administrator manages them; each act is on record, refusals too."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from appliance.administration.ollama_models import OllamaModels
from appliance.bootstrap import Appliance
from appliance.cli import main
from appliance.egress.windows import MaintenanceWindow
from appliance.errors import ApplianceError, Denied, InvalidInput, Unavailable
from appliance.inference import ollama as ollama_package
from appliance.storage.tables import audit_events
from tests.integration.inference.test_ollama_models import Ollama
from tests.scripted_server import ScriptedServer


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    with ScriptedServer(Ollama()).running() as running:
        monkeypatch.setattr(ollama_package, "DEFAULT_ADDRESS", running.address)
        yield running


def last_event(appliance: Appliance) -> tuple[str, str, dict[str, Any]]:
    with appliance.database.read() as connection:
        row = connection.execute(select(audit_events).order_by(audit_events.c.seq.desc()).limit(1)).one()
    return row.event, row.outcome, json.loads(row.body).get("facts", {})


def code_of(act: Callable[[], Any], kind: type[ApplianceError]) -> str:
    with pytest.raises(kind) as failed:
        act()
    return failed.value.stable_code


def told() -> tuple[list[tuple[str, int, int]], Callable[[str, int, int], None]]:
    steps: list[tuple[str, int, int]] = []
    return steps, lambda *step: steps.append(step)


def test_nobody_but_an_administrator(appliance, alice, server, tmp_path) -> None:
    models = appliance.ollama_models
    for act in (
        lambda: models.list(alice),
        lambda: models.show(alice, "qwen3"),
        lambda: models.create(alice, "mine", tmp_path / "Modelfile", told()[1]),
        lambda: models.pull(alice, "qwen3", told()[1]),
        lambda: models.delete(alice, "qwen3"),
    ):
        code_of(act, Denied)
    assert server.asked == []


def test_they_are_listed_shown_made_and_deleted(appliance, administrator, server, tmp_path) -> None:
    models = appliance.ollama_models
    assert [model.name for model in models.list(administrator)] == ["gemma3:latest", "qwen3:0.6b"]
    assert models.show(administrator, "qwen3").context_tokens == 40960
    (tmp_path / "weights.gguf").write_bytes(b"GGUF")
    (tmp_path / "Modelfile").write_text("FROM ./weights.gguf\nPARAMETER num_gpu 1\n")
    steps, watch = told()
    models.create(administrator, "mine", tmp_path / "Modelfile", watch)
    assert [step for step, *_ in steps] == ["reading the weights", "pulling", "success"]
    assert last_event(appliance) == ("model.imported", "success", {"server": "ollama"})
    models.delete(administrator, "qwen3")
    assert last_event(appliance) == ("model.deleted", "success", {"server": "ollama"})


def test_a_modelfile_that_is_not_known_and_a_model_that_is_not_there_are_refused_on_record(
    appliance, administrator, server, tmp_path
) -> None:
    models = appliance.ollama_models
    (tmp_path / "Modelfile").write_text("FROM x\nEXECUTE rm\n")
    assert code_of(lambda: models.create(administrator, "m", tmp_path / "Modelfile", told()[1]), InvalidInput) == (
        "modelfile.instruction"
    )
    assert last_event(appliance) == ("model.imported", "failure", {"server": "ollama", "reason": "modelfile.instruction"})
    assert code_of(lambda: models.delete(administrator, "absent"), Unavailable) == "inference.no_model"
    assert last_event(appliance)[1:] == ("failure", {"server": "ollama", "reason": "inference.no_model"})


def test_a_model_is_fetched_in_a_window_only_with_its_progress_and_never_by_the_sealed_one(
    appliance, administrator, server
) -> None:
    assert code_of(lambda: appliance.ollama_models.pull(administrator, "qwen3", told()[1]), Denied) == "inference.no_maintenance"
    assert server.asked == []
    now = datetime.now(UTC)
    window = MaintenanceWindow(now - timedelta(hours=1), now + timedelta(hours=1))

    def models(address: str) -> OllamaModels:
        parts = (appliance.database, appliance.access, appliance.audit)
        return OllamaModels(*parts, address=address, windows=lambda: [window])

    steps, watch = told()
    models("").pull(administrator, "qwen3", watch)
    assert steps == [("pulling", 4, 10), ("success", 0, 0)]
    assert code_of(lambda: models("unix:/none").pull(administrator, "qwen3", watch), Denied) == "inference.sealed"


def test_the_shell_says_how_far_a_pull_is(appliance, administrator, server, capsys, tmp_path) -> None:
    given = ["models", "ollama", "--data", str(appliance.settings.data_dir)]
    assert main([*given, "list"]) == 0
    assert "qwen3:0.6b" in capsys.readouterr().out
    assert main([*given, "show", "qwen3"]) == 0
    assert "40,960" in capsys.readouterr().out
    (tmp_path / "Modelfile").write_text("FROM qwen3\nSYSTEM Be brief.\n")
    assert main([*given, "create", "mine", "--modelfile", str(tmp_path / "Modelfile")]) == 0
    assert "pulling: 40% of" in capsys.readouterr().err
    for words in (["create", "mine"], ["show"], ["pull", "qwen3"]):
        assert main([*given, *words]) == 1
        assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert main([*given, "delete", "qwen3"]) == 0
