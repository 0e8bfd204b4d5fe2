"""A day on which nothing works: each step says so, and the next one is tried."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from appliance.egress.proof import boxes
from appliance.egress.proof.boxes import Box
from appliance.egress.proof.day import Day, Plan, _done, _first
from appliance.egress.proof.prove import _python
from appliance.errors import Unavailable

HANGING = "import time; time.sleep(60)"


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Box:
    """Nothing listens where it should, and its commands never end."""
    monkeypatch.setattr(boxes, "_PROGRAM", (sys.executable, "-c", HANGING))
    monkeypatch.setattr(boxes, "_COMMAND_S", 0.1)
    monkeypatch.setattr(Box, "start", lambda _: [])
    return Box(tmp_path, 1, {}, {}, url="http://127.0.0.1:1")


def test_a_step_that_fails_or_hangs_does_not_end_the_day(box: Box) -> None:
    plan = Plan(runtimes={}, models=[Path("model.gguf")], idle_s=0.0, shell=True, ollama=True)
    steps = Day(box, plan, lambda _: None).run(lambda: str(box.status()))
    assert [step.name for step in steps if step.held] == ["start", "shutdown"]
    told = {step.name: step.detail for step in steps}
    for name in ("a try from inside", "further models", "a model in Ollama", "backup", "shell"):
        assert "did not end within" in told[name], name


def test_what_is_looked_for_and_not_there_is_told() -> None:
    step = _done("questions", lambda: _first((), "rule for internal documents"))
    assert (step.held, step.detail) == (False, "There is no rule for internal documents.")


def test_a_process_of_the_proof_that_hangs_is_an_error_with_a_name() -> None:
    with pytest.raises(Unavailable) as caught:
        _python("-c", HANGING, env={}, limit_s=0.1)
    assert caught.value.stable_code == "proof.timeout"
