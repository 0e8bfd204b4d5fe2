"""OpenAI-style servers: a real one on the prepared model, and a scripted one for what real ones do on bad days."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from appliance.audit.events import EventName, ResourceRef
from appliance.audit.store import AuditFilter, AuditRecord, following
from appliance.bootstrap import Appliance
from appliance.egress.destinations import Destination, Dialect, Purpose
from appliance.egress.gate import Gate
from appliance.errors import ApplianceError, Denied, InvalidInput, SetupError, Unavailable
from appliance.inference.models import CompletionRequest, Delta, FinishReason, Model, PromptMessage, Usage
from appliance.inference.openai_http import SPEC, OpenAIRuntime
from appliance.inference.registry import LoadRequest, runtime_spec
from appliance.inference.runtime import Runtime
from appliance.inference.store import ModelStore
from tests.gates import standing_gate
from tests.scripted_server import Answer, Asked, ScriptedServer

CONTEXT = 512
QUESTION = (PromptMessage("system", "Answer briefly."), PromptMessage("user", "How many days of leave do we have?"))
DIALECTS = [dialect for dialect in Dialect if dialect is not Dialect.OLLAMA]
EXACT = [Dialect.VLLM, Dialect.LLAMA_SERVER]


def gate(appliance: Appliance, port: int, dialect: Dialect = Dialect.OPENAI, **given: Any) -> Gate:
    lan = {"name": "lan", "host": "127.0.0.1", "port": port, "purpose": Purpose.INFERENCE, "dialect": dialect, "tls": False}
    return standing_gate(appliance, Destination(**{**lan, **given}))


def model(name: str = "big") -> Model:
    source = f"destination:lan:{name}"
    return Model("big@1", "language", "", "", 0, "served", 8192, "Apache-2.0", active=True, source=source)


def request(**given: Any) -> CompletionRequest:
    return CompletionRequest(**{"messages": QUESTION, "max_tokens": 20, **given})


def text(deltas: list[Delta]) -> str:
    return "".join(delta.text for delta in deltas)


def code_of(act: Callable[[], Any], kind: type[ApplianceError] = Unavailable) -> str:
    with pytest.raises(kind) as failed:
        act()
    return failed.value.stable_code


def calls(appliance: Appliance) -> list[AuditRecord]:
    with appliance.database.read() as connection:
        return following(connection, AuditFilter(event=EventName.EGRESS_CALLED))


@dataclass
class Server:
    """A well-behaved server of one dialect: a token for each word, six more for each message."""

    holds: int = CONTEXT
    usage: bool = True
    ollama: bool = False
    chat: Callable[[Asked, Answer], None] | None = None
    counted: dict[str, Any] = field(default_factory=dict)

    def __call__(self, asked: Asked, answer: Answer) -> None:
        match asked.path:
            case "/v1/models":
                answer.json({"object": "list", "data": [{"id": "big", "max_model_len": self.holds}]})
            case "/api/version":
                answer.json({"version": "0.33.3"} if self.ollama else {"detail": "Not Found"}, 200 if self.ollama else 404)
            case "/props":
                answer.json({"default_generation_settings": {"n_ctx": self.holds}})
            case "/apply-template":
                answer.json({"prompt": " ".join("<s> " * 5 + "t " + message["content"] for message in asked.body["messages"])})
            case "/tokenize":
                words = asked.body["content"].split() if "content" in asked.body else range(self.tokens(asked))
                answer.json({"tokens": list(range(len(words))), "count": len(words)})
            case "/v1/chat/completions" if not asked.body["stream"]:
                answer.json({"choices": [], "usage": {"prompt_tokens": self.tokens(asked), "completion_tokens": 1}})
            case "/v1/chat/completions" if self.chat is not None:
                self.chat(asked, answer)
            case "/v1/chat/completions":
                answer.begin("text/event-stream")
                answer.send(b": a comment\n\n")
                answer.event({"choices": [{"delta": {"role": "assistant", "content": None}, "finish_reason": None}]})
                for word in ("Thirty ", "days."):
                    answer.event({"choices": [{"delta": {"content": word}, "finish_reason": None}]})
                answer.event({"choices": [{"delta": {}, "finish_reason": "stop"}]})
                if self.usage:
                    answer.event({"choices": [], "usage": {**self.used(asked), **self.counted}})
                answer.event(b"[DONE]")
                answer.end()

    def tokens(self, asked: Asked) -> int:
        return sum(len(message["content"].split()) + 6 for message in asked.body["messages"])

    def used(self, asked: Asked) -> dict[str, Any]:
        details = {"prompt_tokens_details": {"cached_tokens": 5}}
        return {"prompt_tokens": self.tokens(asked), "completion_tokens": 2, **details}


@pytest.fixture
def script() -> Server:
    return Server()


@pytest.fixture
def server(script: Server) -> Iterator[ScriptedServer]:
    with ScriptedServer(script).running() as running:
        yield running


@pytest.fixture
def load(appliance: Appliance, server: ScriptedServer) -> Callable[..., Runtime]:
    def loaded(dialect: Dialect = Dialect.VLLM, context: int = CONTEXT, **given: Any) -> Runtime:
        runtime = OpenAIRuntime(model(), "big", gate(appliance, server.port, dialect), "lan", context, **given)
        return runtime.under("internal")

    return loaded


# what is refused before anything is sent


def test_without_a_gate_there_is_no_other_machine():
    assert runtime_spec("openai_http") is SPEC
    assert (
        code_of(lambda: SPEC.load(LoadRequest(model(), None, CONTEXT, 2, destination="lan")), SetupError) == "inference.no_gate"
    )


@pytest.mark.parametrize("given", [{"purpose": Purpose.LOG}, {"name": "other"}])
def test_a_destination_that_is_not_for_inference_is_refused(appliance, server, given):
    other = gate(appliance, server.port, **given)
    load = LoadRequest(model(), None, CONTEXT, 2, destination="lan", gate=other)
    assert code_of(lambda: SPEC.load(load), Denied) == "egress.refused"
    assert server.asked == []


@pytest.mark.parametrize("source", ["", "ollama:big", "destination:lan", "destination:lan:", "destination:other:big"])
def test_a_model_that_is_not_at_the_destination_is_refused(appliance, server, source):
    load = LoadRequest(replace(model(), source=source), None, CONTEXT, 2, destination="lan", gate=gate(appliance, server.port))
    assert code_of(lambda: SPEC.load(load), SetupError) == "inference.no_model"
    assert server.asked == []


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_ollama_that_passes_for_something_else_is_refused(server, script, load, dialect):
    script.ollama = True
    assert code_of(lambda: load(dialect), SetupError) == "inference.unsupported"
    assert "/v1/chat/completions" not in server.paths()


def test_a_server_without_the_model_or_with_less_context_is_refused(appliance, server, script, load):
    unknown = LoadRequest(model("bigger"), None, CONTEXT, 2, destination="lan", gate=gate(appliance, server.port))
    assert code_of(lambda: SPEC.load(unknown)) == "inference.no_model"
    for dialect in EXACT:
        assert code_of(lambda dialect=dialect: load(dialect, CONTEXT + 1), SetupError) == "setup.context_tokens"
    script.holds = 0
    assert code_of(load, SetupError) == "setup.context_tokens"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_prompt_that_does_not_fit_is_not_sent(server, load, dialect):
    runtime = load(dialect)
    long = request(messages=(PromptMessage("user", "word " * CONTEXT),))
    assert code_of(lambda: runtime.complete(long), InvalidInput) == "inference.context_overflow"
    assert not any(asked.path == "/v1/chat/completions" and asked.body["stream"] for asked in server.asked)


def test_constraints_are_mapped_where_the_dialect_has_words_for_them(server, load):
    wanted = {
        Dialect.VLLM: {"structured_outputs": {"grammar": "root ::= [a-z]"}},
        Dialect.LLAMA_SERVER: {"grammar": "root ::= [a-z]"},
    }
    schema = {"type": "object"}
    for dialect, fields in wanted.items():
        runtime = load(dialect)
        list(runtime.complete(request(grammar="root ::= [a-z]")))
        assert fields.items() <= server.asked[-1].body.items()
        list(runtime.complete(request(json_schema=json.dumps(schema))))
        assert server.asked[-1].body["response_format"]["json_schema"]["schema"] == schema
        assert (
            code_of(lambda runtime=runtime: runtime.complete(request(json_schema="{")), InvalidInput) == "inference.unsupported"
        )
    plain = load(Dialect.OPENAI)
    for constraint in ({"grammar": "root ::= [a-z]"}, {"json_schema": "{}"}):
        refused = request(**constraint)
        assert code_of(lambda refused=refused: plain.complete(refused), InvalidInput) == "inference.unsupported"


# answers


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_answer_is_streamed_with_its_usage_and_on_record(appliance, alice, server, load, dialect):
    runtime = load(dialect)
    deltas = list(runtime.complete(request(person=alice.id, conversation="c1", temperature=0.5, seed=7)))
    assert text(deltas) == "Thirty days."
    assert (deltas[-1].finish_reason, deltas[-1].usage) == (FinishReason.STOP, Usage(22, 2, 5))
    body = server.asked[-1].body
    assert (body["max_tokens"], body["temperature"], body["seed"], body["model"]) == (20, 0.5, 7, "big")
    record = calls(appliance)[-1]
    assert record.on_behalf_of == alice.pseudonym
    assert record.resources[:2] == (ResourceRef("destination", "lan"), ResourceRef("conversation", "c1"))
    assert record.facts["bytes_out"] > 100
    assert len(calls(appliance)) == len(server.asked)


def test_what_a_server_lets_its_model_think_aloud_is_no_part_of_the_answer(server, script, load):
    def chat(asked: Asked, answer: Answer) -> None:
        answer.begin("text/event-stream")
        for piece in ("<th", "ink>\nThey may mean ", "pay.\n</think>\n", "\nThirty ", "days."):
            answer.event({"choices": [{"delta": {"content": piece}, "finish_reason": None}]})
        answer.event({"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": script.used(asked)})
        answer.event(b"[DONE]")
        answer.end()

    script.chat = chat
    assert text(list(load(Dialect.OPENAI).complete(request()))) == "Thirty days."


@pytest.mark.parametrize("dialect", EXACT)
def test_tokens_are_counted_by_the_server_and_once(server, load, dialect):
    runtime = load(dialect)
    assert runtime.count_tokens(QUESTION) == 22
    asked = len(server.asked)
    assert runtime.count_tokens(QUESTION) == 22
    assert len(server.asked) == asked


@pytest.mark.parametrize("dialect", EXACT)
@pytest.mark.parametrize("said", [{"prompt_tokens": 12}, None])
def test_a_prompt_that_was_not_read_whole_is_an_error(script, load, dialect, said):
    script.usage, script.counted = said is not None, said or {}
    runtime = load(dialect)
    assert code_of(lambda: list(runtime.complete(request()))) == "inference.truncated"


def test_a_plain_server_may_leave_its_usage_out_but_not_read_less(script, load):
    script.usage = False
    runtime = load(Dialect.OPENAI)
    assert list(runtime.complete(request()))[-1].usage == Usage(0, 2, 0)
    script.usage, script.counted = True, {"prompt_tokens": 9}
    assert code_of(lambda: list(runtime.complete(request()))) == "inference.truncated"


@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (404, {"error": {"message": "The model `big` does not exist."}}, Unavailable, "inference.no_model"),
        (503, {"error": {"code": 503, "message": "Loading model"}}, Unavailable, "inference.busy"),
        (429, {"detail": "slow down"}, Unavailable, "inference.busy"),
        (401, {"error": "Unauthorized"}, Unavailable, "inference.unreachable"),
        (
            400,
            {"error": {"type": "exceed_context_size_error", "message": "exceeds the available context size"}},
            InvalidInput,
            "inference.context_overflow",
        ),
        (400, {"message": "maximum context length is 512 tokens"}, InvalidInput, "inference.context_overflow"),
        (422, {"detail": "unknown field"}, InvalidInput, "inference.unsupported"),
        (500, {"error": {"message": "out of memory"}}, Unavailable, "inference.died"),
        (200, {"error": {"message": "EngineDeadError"}}, Unavailable, "inference.died"),
    ],
)
def test_errors_of_the_server_have_names(script, load, status, body, kind, code):
    runtime = load()
    script.chat = lambda _, answer: answer.json(body, status)
    assert code_of(lambda: list(runtime.complete(request())), kind) == code


def started(answer: Answer) -> None:
    answer.begin("text/event-stream")
    answer.event({"choices": [{"delta": {"content": "Thir"}, "finish_reason": None}]})


def ended(_: Asked, answer: Answer) -> None:
    started(answer)
    answer.end()


def done_too_early(_: Asked, answer: Answer) -> None:
    started(answer)
    answer.event(b"[DONE]")
    answer.end()


def dropped(_: Asked, answer: Answer) -> None:
    started(answer)
    answer.break_off()


def garbled(_: Asked, answer: Answer) -> None:
    started(answer)
    answer.event(b'{"choices": [')
    answer.end()


def shapeless(_: Asked, answer: Answer) -> None:
    started(answer)
    answer.event({"choices": ["x"]})
    answer.end()


def aborted(_: Asked, answer: Answer) -> None:
    started(answer)
    answer.event({"choices": [{"delta": {}, "finish_reason": "abort"}]})
    answer.end()


def failed_midway(_: Asked, answer: Answer) -> None:
    started(answer)
    answer.event({"error": {"code": 500, "message": "EngineDeadError"}})
    answer.end()


def redirected(_: Asked, answer: Answer) -> None:
    answer.redirect("http://127.0.0.1:1/v1/chat/completions")


@pytest.mark.parametrize("broken", [ended, done_too_early, dropped, garbled, shapeless, aborted, failed_midway, redirected])
def test_a_stream_that_does_not_end_properly_is_no_answer(script, load, broken):
    runtime = load()
    script.chat = broken
    seen: list[Delta] = []
    assert code_of(lambda: seen.extend(runtime.complete(request()))) == "inference.died"
    assert not any(delta.finish_reason for delta in seen)


def test_a_server_that_ends_at_its_limit_says_so(script, load):
    def long(asked: Asked, answer: Answer) -> None:
        started(answer)
        answer.event({"choices": [{"delta": {}, "finish_reason": "length"}], "usage": script.used(asked)})
        answer.end()

    runtime = load()
    script.chat = long
    assert list(runtime.complete(request()))[-1].finish_reason is FinishReason.LENGTH


def test_silence_is_given_up_and_health_knows(script, load):
    runtime = load(silence_s=0.3)
    assert runtime.health().ready
    script.chat = lambda _, answer: answer.wait_until_left()
    assert code_of(lambda: list(runtime.complete(request()))) == "inference.timeout"
    assert not runtime.health().ready
    script.chat = None
    assert text(list(runtime.complete(request()))) == "Thirty days."
    assert runtime.health().ready


def test_a_busy_server_is_not_a_missing_one(script, load):
    runtime = load()
    script.chat = lambda _, answer: answer.json({}, 503)
    assert code_of(lambda: list(runtime.complete(request()))) == "inference.busy"
    assert runtime.health().ready


@pytest.mark.parametrize("talks_first", [False, True])
def test_a_stop_closes_the_stream_at_once(server, script, load, talks_first):
    def quiet(_: Asked, answer: Answer) -> None:
        if talks_first:
            started(answer)
        answer.wait_until_left()

    runtime = load()
    script.chat = quiet
    stopped = request()
    threading.Timer(0.3, stopped.cancelled.set).start()
    began = time.monotonic()
    deltas = list(runtime.complete(stopped))
    assert time.monotonic() - began < 1.5
    assert deltas[-1].finish_reason is FinishReason.CANCELLED
    assert server.asked[-1].gone.wait(2)
    assert runtime.health() == runtime.health().__class__(ready=True, device="lan")


def test_a_deadline_ends_an_answer_that_goes_on_and_on(script, load):
    def endless(_: Asked, answer: Answer) -> None:
        started(answer)
        while True:
            answer.event({"choices": [{"delta": {"content": " on"}, "finish_reason": None}]})
            time.sleep(0.02)

    runtime = load()
    script.chat = endless
    deltas = list(runtime.complete(request(deadline_s=0.3)))
    assert deltas[-1].finish_reason is FinishReason.CANCELLED


def test_an_abandoned_answer_closes_the_stream_and_is_on_record(appliance, server, script, load):
    def quiet(_: Asked, answer: Answer) -> None:
        started(answer)
        answer.wait_until_left()

    runtime = load()
    script.chat = quiet
    answer = runtime.complete(request())
    next(answer)
    before = len(calls(appliance))
    answer.close()
    assert server.asked[-1].gone.wait(2)
    assert len(calls(appliance)) == before + 1


def test_a_closed_runtime_answers_no_more(appliance, server):
    runtime = OpenAIRuntime(model(), "big", gate(appliance, server.port, Dialect.VLLM), "lan", CONTEXT)
    runtime.close()
    assert not runtime.health().ready
    assert code_of(lambda: list(runtime.complete(request()))) == "inference.closed"


# a real server


@pytest.fixture(scope="module")
def real_port(models_dir: Path) -> Iterator[int]:
    """`llama_cpp.server` on the prepared model, with 1,024 tokens of context."""
    store = ModelStore(models_dir)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = {
        "model": store.verified_path(store.active("language")),
        "model_alias": "big",
        "n_ctx": 1024,
        "n_threads": 1,
        "n_threads_batch": 1,
    }
    arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "llama_cpp.server", "--host", "127.0.0.1", "--port", str(port), *arguments]
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "LANG": "C.UTF-8"}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    try:
        for _ in range(600):
            assert process.poll() is None, "llama_cpp.server did not start"
            try:
                socket.create_connection(("127.0.0.1", port), 0.2).close()
                break
            except OSError:
                time.sleep(0.1)
        yield port
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def real(appliance: Appliance, real_port: int) -> OpenAIRuntime:
    return OpenAIRuntime(model(), "big", gate(appliance, real_port), "lan", 1024)


@pytest.mark.models
def test_a_real_server_answers_the_same_each_time(real):
    asked = request(messages=(PromptMessage("system", "Be brief."), PromptMessage("user", "What is the capital of France?")))
    first, second = (list(real.under("internal").complete(asked)) for _ in range(2))
    assert "Paris" in text(first)
    assert text(first) == text(second)
    assert first[-1].finish_reason is FinishReason.STOP
    assert first[-1].usage.completion_tokens > 3


@pytest.mark.models
def test_the_estimate_stands_above_a_real_tokenizer(real):
    texts = ["a", "Wien, Ä ö ü ß éé", "漢字かな交じり文 🙂🙃", "x" * 60 + " 1 2 3 4 5 6 7\n\n \t"]
    for words in texts:
        for messages in (
            (PromptMessage("user", words),),
            (*QUESTION, PromptMessage("assistant", words), PromptMessage("user", words)),
        ):
            *_, last = real.under("internal").complete(request(max_tokens=1, messages=messages))
            assert last.usage.prompt_tokens <= real.count_tokens(messages)
    with pytest.raises(Unavailable, match="more in it than was said"):  # measuring is for prompts that say nothing
        real._measured((PromptMessage("user", texts[1]),))


@pytest.mark.models
def test_a_real_server_stops_when_it_is_left(real):
    asked = request(max_tokens=400, messages=(PromptMessage("user", "Write a long story about a river."),))
    deltas = []
    for delta in real.under("internal").complete(asked):
        deltas.append(delta)
        if len(deltas) == 3:
            asked.cancelled.set()
    assert deltas[-1].finish_reason is FinishReason.CANCELLED
    assert len(deltas) < 20


@pytest.mark.models
def test_a_real_server_that_holds_less_than_promised_gives_no_answer(appliance, real_port):
    trusting = OpenAIRuntime(model(), "big", gate(appliance, real_port), "lan", 8192).under("internal")
    long = request(messages=(PromptMessage("user", "word " * 1200),))
    seen: list[Delta] = []
    assert code_of(lambda: seen.extend(trusting.complete(long)), ApplianceError) in {
        "inference.died",
        "inference.context_overflow",
    }
    assert seen == []
