"""A real Ollama, where there is one: on loopback, on a throw-away directory, without its cloud, with the prepared model."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.egress.seal.confinement import CODE
from appliance.inference.modelfile import Modelfile
from appliance.inference.models import CompletionRequest, FinishReason, Model, PromptMessage
from appliance.inference.ollama import SPEC
from appliance.inference.ollama.client import LocalClient
from appliance.inference.ollama.models import create_model, delete_model, describe_model, list_models
from appliance.inference.ollama.runtime import OllamaRuntime
from appliance.inference.ollama_program import find_ollama
from appliance.inference.registry import LoadRequest
from appliance.inference.store import ModelStore
from appliance.supervisor.ollama_server import ollama_answers

PROGRAM = Path(os.environ["OLLAMA_PROGRAM"]) if "OLLAMA_PROGRAM" in os.environ else find_ollama()
pytestmark = [
    pytest.mark.models,
    pytest.mark.runtimes,
    pytest.mark.skipif(PROGRAM is None, reason="there is no ollama program on this machine"),
]
CONTEXT = 1024
CHATML = """{{- range .Messages }}<|im_start|>{{ .Role }}
{{ .Content }}<|im_end|>
{{ end }}<|im_start|>assistant
"""
QUESTION = (PromptMessage("system", "Be brief."), PromptMessage("user", "What is the capital of France?"))


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Started as the box does it, but for the seal: through the relay, with the environment that it is given there."""
    directory = Path(tempfile.mkdtemp(prefix="cl-"))
    words = ["--program", str(PROGRAM), "--directory", str(directory), "--context", str(CONTEXT), "--at-once", "1"]
    log = directory / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "appliance.supervisor.ollama_server", *words], cwd=CODE, env={}, stdout=file, stderr=file
        )
    try:
        for _ in range(300):
            assert process.poll() is None, log.read_text()
            if ollama_answers(directory / "ollama.sock"):
                break
            time.sleep(0.1)
        yield f"unix:{directory}/ollama.sock"
    finally:
        process.terminate()
        process.wait(20)
        shutil.rmtree(directory)


@pytest.fixture(scope="module")
def client(address: str, models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalClient]:
    folder = tmp_path_factory.mktemp("weights")
    store = ModelStore(models_dir)
    shutil.copy(store.verified_path(store.active("language")), folder / "weights.gguf")
    opened = LocalClient(address)
    modelfile = Modelfile("./weights.gguf", parameters=(("stop", "<|im_end|>"),), template=CHATML)
    assert list(create_model(opened, "smollm2:135m", modelfile, folder))[-1].step == "success"
    yield opened
    delete_model(opened, "smollm2:135m")
    assert list_models(opened) == []
    opened.close()


@pytest.fixture(scope="module")
def runtime(client: LocalClient, address: str) -> Iterator[OllamaRuntime]:
    model = Model("smollm2@1", "language", "", "", 0, "served", 8192, "Apache-2.0", active=True, source="ollama:smollm2:135m")
    loaded = SPEC.load(LoadRequest(model, None, CONTEXT, 2, destination=address))
    assert isinstance(loaded, OllamaRuntime)
    yield loaded
    loaded.close()


def test_the_model_is_listed_and_described(client: LocalClient) -> None:
    assert [model.name for model in list_models(client)] == ["smollm2:135m"]
    details = describe_model(client, "smollm2:135m")
    assert details.context_tokens == 8192
    assert details.weights is not None


def test_it_answers_the_same_each_time(runtime: OllamaRuntime) -> None:
    first, second = (list(runtime.complete(CompletionRequest(QUESTION, 40))) for _ in range(2))
    text = "".join(delta.text for delta in first)
    assert "Paris" in text
    assert text == "".join(delta.text for delta in second)
    assert first[-1].finish_reason is FinishReason.STOP
    assert first[-1].usage is not None
    assert second[-1].usage is not None
    assert first[-1].usage.prompt_tokens == second[-1].usage.prompt_tokens


@pytest.mark.parametrize("words", ["a", "Wien, Ä ö ü ß éé", "漢字かな交じり文 🙂🙃", "x" * 60 + " 1 2 3 4 5 6 7\n\n \t"])
def test_the_estimate_stands_above_what_it_counts(runtime: OllamaRuntime, words: str) -> None:
    said = PromptMessage("user", words)
    for messages in ((said,), (*QUESTION, PromptMessage("assistant", words), said)):
        assert runtime._measured(messages) <= runtime.count_tokens(messages)


def test_a_prompt_that_is_too_long_is_found_out(runtime: OllamaRuntime) -> None:
    """Past the check of ours: either the server refuses, or what it says it read gives it away."""
    request = CompletionRequest((PromptMessage("user", "word " * 3 * CONTEXT),), 8)
    with pytest.raises(Exception) as found:
        list(runtime._stream(request, runtime._body(request)))
    assert getattr(found.value, "stable_code", "") in {"inference.truncated", "inference.context_overflow"}


def test_a_stop_ends_the_answer(runtime: OllamaRuntime) -> None:
    request = CompletionRequest((PromptMessage("user", "Write a long story about a river."),), 400)
    deltas = []
    for delta in runtime.complete(request):
        deltas.append(delta)
        if len(deltas) == 3:
            request.cancelled.set()
    assert deltas[-1].finish_reason is FinishReason.CANCELLED
    assert len(deltas) < 20


def test_an_answer_is_held_to_a_schema(runtime: OllamaRuntime) -> None:
    schema = '{"type": "object", "properties": {"city": {"type": "string", "maxLength": 20}}, "required": ["city"]}'
    answer = "".join(delta.text for delta in runtime.complete(CompletionRequest(QUESTION, 60, json_schema=schema)))
    assert answer.lstrip().startswith("{")
