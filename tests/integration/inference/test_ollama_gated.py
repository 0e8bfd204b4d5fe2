"""An Ollama outside the seal: reached as a named destination, through the gate, by the classification of what is sent."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from appliance.audit.events import EventName
from appliance.audit.store import AuditFilter, following
from appliance.bootstrap import Appliance
from appliance.egress.destinations import Destination, Dialect, Purpose
from appliance.egress.gate import Gate
from appliance.errors import ApplianceError, Denied, InvalidInput, SetupError, Unavailable
from appliance.inference.loading import Loader
from appliance.inference.models import CompletionRequest, FinishReason, PromptMessage
from appliance.inference.pool import RuntimeKey
from appliance.inference.runtime import Runtime, SendsElsewhere
from appliance.inference.store.connecting import Told
from tests.gates import standing_gate
from tests.integration.inference.test_connecting import ABOUT, DIGEST, LocalOllama
from tests.scripted_server import Answer, Asked, ScriptedServer

QUESTION = (PromptMessage("system", "Answer briefly."), PromptMessage("user", "How many days of leave do we have?"))
SOURCE = "destination:desk:qwen3:0.6b"


@pytest.fixture
def ollama() -> LocalOllama:
    return LocalOllama(show={"model_info": ABOUT})


@pytest.fixture
def server(ollama: LocalOllama) -> Iterator[ScriptedServer]:
    with ScriptedServer(ollama).running() as running:
        yield running


@pytest.fixture
def gate(appliance: Appliance, server: ScriptedServer) -> Gate:
    desk = Destination("desk", "127.0.0.1", server.port, Purpose.INFERENCE, Dialect.OLLAMA, tls=False)
    return standing_gate(appliance, desk)


@pytest.fixture
def version(appliance: Appliance, administrator, gate: Gate):
    return appliance.model_importing.connect(administrator, SOURCE, Told(), gate)


@pytest.fixture
def load(appliance: Appliance, gate: Gate, version) -> Callable[[], Runtime]:
    loader = Loader(appliance.models, lambda: gate, context_tokens=512, threads=1, slots=1)
    return lambda: loader(RuntimeKey("openai_http", version.id, destination="desk"))


def lent(runtime: Runtime, classification: str = "internal") -> Runtime:
    assert isinstance(runtime, SendsElsewhere)
    return runtime.under(classification)


def request(**given: Any) -> CompletionRequest:
    return CompletionRequest(**{"messages": QUESTION, "max_tokens": 20, **given})


def code_of(act: Callable[[], Any], kind: type[ApplianceError] = Unavailable) -> str:
    with pytest.raises(kind) as failed:
        act()
    return failed.value.stable_code


def calls_on_record(appliance: Appliance) -> int:
    with appliance.database.read() as connection:
        return len(following(connection, AuditFilter(event=EventName.EGRESS_CALLED)))


def test_what_is_recorded_is_what_the_server_says(version, appliance) -> None:
    assert (version.format, version.sha256, version.context_tokens, version.source) == ("served", DIGEST, 2048, SOURCE)
    assert version.memory_mb == 0, "it takes nothing of this box"
    offer = next(offer for offer in appliance.offers() if offer.model_id == version.id)
    assert (offer.runtime, offer.destination) == ("openai_http", "desk")


def test_an_answer_comes_through_the_gate_with_all_that_an_ollama_is_held_to(server, load, appliance, alice) -> None:
    runtime = load()
    deltas = list(lent(runtime).complete(request(person=alice.id, conversation="c1")))
    assert "".join(delta.text for delta in deltas) == "Thirty days."
    assert deltas[-1].finish_reason is FinishReason.STOP
    assert deltas[-1].usage is not None
    assert deltas[-1].usage.prompt_tokens == 22
    body = server.asked[-1].body
    assert (body["options"]["num_ctx"], body["truncate"], body["keep_alive"]) == (512, False, "30m")
    assert code_of(lambda: lent(runtime).complete(request(messages=(PromptMessage("user", "x" * 600),))), InvalidInput) == (
        "inference.context_overflow"
    )
    assert calls_on_record(appliance) >= len(server.asked)
    assert runtime.health().ready
    runtime.close()
    assert "/api/generate" not in server.paths(), "its memory is not ours to empty"


@pytest.mark.parametrize("lend", [lambda runtime: runtime, lambda runtime: lent(runtime, "secret")])
def test_nothing_leaves_for_a_classification_that_no_rule_lets_out(server, load, lend) -> None:
    runtime = load()
    asked = len(server.asked)
    assert code_of(lambda: list(lend(runtime).complete(request())), Denied) == "egress.refused"
    assert len(server.asked) == asked


def test_no_rule_of_any_name_lets_out_what_has_no_classification(appliance, server, version) -> None:
    desk = Destination("desk", "127.0.0.1", server.port, Purpose.INFERENCE, Dialect.OLLAMA, tls=False)
    permissive = standing_gate(appliance, desk, classified={"none": frozenset({"desk"})})
    loader = Loader(appliance.models, lambda: permissive, context_tokens=512, threads=1, slots=1)
    runtime = loader(RuntimeKey("openai_http", version.id, destination="desk"))
    assert code_of(lambda: list(runtime.complete(request())), Denied) == "egress.refused"
    assert list(lent(runtime, "none").complete(request())), "the rule itself holds"


def test_a_model_that_was_exchanged_there_is_not_loaded(ollama, load) -> None:
    ollama.digest = "e" * 64
    assert code_of(load, SetupError) == "setup.model_digest"


def test_errors_have_the_names_that_they_have_on_this_machine(server, ollama, load) -> None:
    runtime = load()
    for status, said, kind, code in (
        (404, "model not found", Unavailable, "inference.no_model"),
        (503, "server busy", Unavailable, "inference.busy"),
        (400, "the input length exceeds the context length", InvalidInput, "inference.context_overflow"),
        (200, "an error was encountered while running the model", Unavailable, "inference.died"),
    ):
        ollama.chat = lambda _, answer, said=said, status=status: answer.json({"error": said}, status)
        assert code_of(lambda: list(lent(runtime).complete(request())), kind) == code


def test_a_prompt_that_was_cut_and_a_stream_that_breaks_are_errors(ollama, load) -> None:
    def truncating(asked: Asked, answer: Answer) -> None:
        answer.begin()
        answer.line(ollama.done(asked, prompt_eval_count=5))
        answer.end()

    def dropped(_: Asked, answer: Answer) -> None:
        answer.begin()
        answer.line({"message": {"role": "assistant", "content": "Thir"}, "done": False})
        answer.break_off()

    runtime = load()
    for chat, code in ((truncating, "inference.truncated"), (dropped, "inference.died")):
        ollama.chat = chat
        assert code_of(lambda: list(lent(runtime).complete(request()))) == code


def test_a_stop_reaches_through_the_gate(server, ollama, load) -> None:
    def quiet(_: Asked, answer: Answer) -> None:
        answer.begin()
        answer.line({"message": {"role": "assistant", "content": "Thir"}, "done": False})
        answer.wait_until_left()

    runtime, stopped = lent(load()), request()
    ollama.chat = quiet
    deltas = []
    for delta in runtime.complete(stopped):
        deltas.append(delta)
        stopped.cancelled.set()
    assert deltas[-1].finish_reason is FinishReason.CANCELLED
    assert server.asked[-1].gone.wait(2)


def test_a_server_that_is_gone_is_unreachable(load, server) -> None:
    runtime = load()
    server._server.server_close()
    server._server.shutdown()
    assert code_of(lambda: list(lent(runtime).complete(request()))) == "inference.unreachable"
    assert not runtime.health().ready


def test_a_modelfile_is_in_force_there_too_without_what_the_server_decides(
    server, appliance, administrator, gate, load, tmp_path
) -> None:
    modelfile = tmp_path / "Modelfile"
    for refused in ("TEMPLATE {{ .System }} {{ .Prompt }}", "ADAPTER ./a.gguf", "PARAMETER num_gpu 1", "PARAMETER num_ctx 4096"):
        modelfile.write_text(f"FROM x\n{refused}\n")
        with pytest.raises(InvalidInput):
            appliance.model_importing.connect(administrator, SOURCE, Told("other", modelfile=modelfile), gate)
    modelfile.write_text("FROM x\nSYSTEM Shout.\nPARAMETER num_ctx 512\nPARAMETER top_k 3\nPARAMETER stop days\n")
    version = appliance.model_importing.connect(administrator, SOURCE, Told("loud", modelfile=modelfile), gate)
    loader = Loader(appliance.models, lambda: gate, context_tokens=2048, threads=1, slots=1)
    runtime = loader(RuntimeKey("openai_http", version.id, destination="desk"))
    assert runtime.context_tokens == 512
    deltas = list(lent(runtime).complete(request()))
    assert "".join(delta.text for delta in deltas) == "Thirty "
    assert deltas[-1].finish_reason is FinishReason.STOP
    body = next(asked.body for asked in reversed(server.asked) if asked.path == "/api/chat")
    assert body["messages"][0]["content"].endswith("\nShout.")
    assert body["options"]["top_k"] == 3
