"""Models that stay in a server: what is recorded of them, what is refused, and that they answer through the door of all models."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from appliance.audit.events import EventName
from appliance.audit.store import AuditFilter, following
from appliance.bootstrap import Appliance
from appliance.egress.destinations import Destination, Dialect, Purpose
from appliance.egress.gate import Gate
from appliance.errors import ApplianceError, Conflict, Denied, InvalidInput, SetupError, Unavailable
from appliance.inference import ollama as ollama_package
from appliance.inference.loading import Loader
from appliance.inference.models import CompletionRequest, PromptMessage
from appliance.inference.pool import RuntimeKey
from appliance.inference.store.connecting import Told
from appliance.inference.store.versions import SizeClass, VersionState
from tests.integration.inference.test_ollama import Ollama
from tests.integration.inference.test_openai_http import Server
from tests.gates import standing_gate
from tests.scripted_server import Answer, Asked, ScriptedServer

DIGEST = "d" * 64
ABOUT = {
    "general.architecture": "qwen3",
    "general.parameter_count": 751_632_384,
    "general.license": "apache-2.0",
    "qwen3.context_length": 2048,
    "qwen3.block_count": 28,
    "qwen3.attention.head_count_kv": 8,
    "qwen3.attention.key_length": 128,
    "qwen3.attention.value_length": 128,
}


class LocalOllama(Ollama):
    """Also lists its models."""

    digest = DIGEST

    def __call__(self, asked: Asked, answer: Answer) -> None:
        if asked.path != "/api/tags":
            super().__call__(asked, answer)
            return
        details = {"parameter_size": "751.63M", "quantization_level": "Q4_K_M"}
        answer.json({"models": [{"model": "qwen3:0.6b", "digest": self.digest, "size": 522_000_000, "details": details}]})


@pytest.fixture
def ollama(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalOllama]:
    script = LocalOllama(show={"model_info": ABOUT})
    with ScriptedServer(script).running() as server:
        monkeypatch.setattr(ollama_package, "DEFAULT_ADDRESS", server.address)
        yield script


@pytest.fixture
def gate(appliance: Appliance) -> Iterator[Gate]:
    with ScriptedServer(Server()).running() as server:
        lan = Destination("lan", "127.0.0.1", server.port, Purpose.INFERENCE, Dialect.VLLM, tls=False)
        yield standing_gate(appliance, lan)


def code_of(act: Callable[[], Any], kind: type[ApplianceError]) -> str:
    with pytest.raises(kind) as failed:
        act()
    return failed.value.stable_code


@pytest.mark.parametrize(
    ("source", "told", "kind", "code"),
    [
        ("", Told(), InvalidInput, "model.source"),
        ("qwen3", Told(), InvalidInput, "model.source"),
        ("ollama:", Told(), InvalidInput, "model.source"),
        ("destination:lan", Told(), InvalidInput, "model.source"),
        ("https://example.org/v1", Told(), InvalidInput, "model.source"),
        ("ollama:gpt-oss:120b-cloud", Told(), Denied, "inference.remote_model"),
        ("ollama:../x", Told(), InvalidInput, "inference.model_name"),
        ("destination:elsewhere:big", Told(), Denied, "egress.refused"),
        ("destination:lan:bigger", Told(), Unavailable, "inference.no_model"),
        ("destination:lan:big", Told(), InvalidInput, "model.parameters"),
        ("destination:lan:big", Told(parameters_m=-1), InvalidInput, "model.parameters"),
    ],
)
def test_what_cannot_be_connected_is_refused_and_recorded(appliance, administrator, ollama, gate, source, told, kind, code):
    assert code_of(lambda: appliance.model_importing.connect(administrator, source, told, gate), kind) == code
    assert appliance.models.versions() == []
    with appliance.database.read() as connection:
        record = following(connection, AuditFilter(event=EventName.MODEL_IMPORTED))[-1]
    assert record.outcome == "failure"


def test_only_administrators_connect(appliance, alice, ollama, gate):
    assert code_of(lambda: appliance.model_importing.connect(alice, "ollama:qwen3:0.6b", Told(), gate), Denied) == "policy.denied"


def test_a_model_of_the_cloud_is_not_connected_under_a_harmless_name(appliance, administrator, ollama, gate):
    ollama.show = {"remote_host": "https://ollama.com:443"}
    act = lambda: appliance.model_importing.connect(administrator, "ollama:qwen3:0.6b", Told(), gate)  # noqa: E731
    assert code_of(act, Denied) == "inference.remote_model"


def test_a_model_of_ollama_is_connected_once_and_answers(appliance, administrator, ollama, gate):
    version = appliance.model_importing.connect(administrator, "ollama:qwen3:0.6b", Told(), gate)
    assert (version.id, version.format, version.state) == ("qwen3-0.6b@1", "served", VersionState.CANDIDATE)
    assert (version.sha256, version.size_class, version.context_tokens) == (DIGEST, SizeClass.MICRO, 2048)
    assert (version.quantisation, version.licence, version.source) == ("Q4_K_M", "apache-2.0", "ollama:qwen3:0.6b")
    assert 900 < version.memory_mb < 2_000
    again = lambda: appliance.model_importing.connect(administrator, "ollama:qwen3:0.6b", Told(), gate)  # noqa: E731
    assert code_of(again, Conflict) == "model.already"
    appliance.model_administration.activate(administrator, version.id)
    load = Loader(appliance.models, lambda: gate, context_tokens=512, threads=1, slots=1)
    runtime = load(RuntimeKey("ollama", version.id, "cpu", ""))
    question = (PromptMessage("system", "Answer briefly."), PromptMessage("user", "How many days of leave do we have?"))
    assert "".join(delta.text for delta in runtime.complete(CompletionRequest(question, 20))) == "Thirty days."
    ollama.digest = "e" * 64
    assert code_of(lambda: load(RuntimeKey("ollama", version.id, "cpu", "")), SetupError) == "setup.model_digest"


def test_a_model_at_a_destination_is_connected_and_answers(appliance, administrator, alice, gate):
    told = Told(name="large", parameters_m=24_000, licence="Apache-2.0")
    version = appliance.model_importing.connect(administrator, "destination:lan:big", told, gate)
    assert (version.id, version.size_class, version.context_tokens, version.memory_mb) == ("large@1", SizeClass.MEDIUM, 512, 0)
    runtime = Loader(appliance.models, lambda: gate, context_tokens=512, threads=1, slots=1)(
        RuntimeKey("openai_http", "large@1", "cpu", "lan")
    )
    question = (PromptMessage("user", "How many days of leave do we have?"),)
    request = CompletionRequest(question, 20, person=alice.id)
    assert code_of(lambda: list(runtime.complete(request)), Denied) == "egress.refused"
    runtime = runtime.under("internal")
    assert "".join(delta.text for delta in runtime.complete(request)) == "Thirty days."
    other = RuntimeKey("openai_http", "large@1", "cpu", "other")
    elsewhere = replace(gate.destinations["lan"], name="other")
    wider = standing_gate(appliance, gate.destinations["lan"], elsewhere)
    loader = Loader(appliance.models, lambda: wider, context_tokens=512, threads=1, slots=1)
    assert code_of(lambda: loader(other), SetupError) == "inference.no_model"


def test_what_no_server_says_is_taken_from_the_catalogue_where_the_name_stands_there(appliance, administrator, gate):
    connect = appliance.model_importing.connect
    version = connect(administrator, "destination:lan:big", Told(name="bitnet-b1.58-2b-4t"), gate)
    assert (version.parameters_m, version.size_class, version.licence) == (2_412, SizeClass.SMALL, "MIT")
    assert version.context_tokens == 512, "what the server says counts more"
    told = Told(name="qwen3-4b", parameters_m=1, licence="mine")
    version = connect(administrator, "destination:lan:big", told, gate)
    assert (version.parameters_m, version.licence) == (1, "mine"), "and so does the administrator"
    act = lambda: connect(administrator, "destination:lan:big", Told(name="all-minilm-l6-v2"), gate)  # noqa: E731
    assert code_of(act, InvalidInput) == "model.parameters", "an embedding model says nothing of one that answers"
