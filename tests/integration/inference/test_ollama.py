"""Ollama, against a server that speaks its wire format as documented: what it may do wrong, and what must never be believed."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from appliance.errors import ApplianceError, Denied, InvalidInput, SetupError, Unavailable
from appliance.inference.models import CompletionRequest, Delta, FinishReason, Model, PromptMessage, Usage
from appliance.inference.ollama import SPEC
from appliance.inference.ollama.client import LocalClient
from appliance.inference.ollama.names import checked_address, checked_name
from appliance.inference.ollama.runtime import OllamaRuntime
from appliance.inference.registry import LoadRequest, runtime_spec
from tests.scripted_server import Answer, Asked, ScriptedServer

CONTEXT = 512
QUESTION = (PromptMessage("system", "Answer briefly."), PromptMessage("user", "How many days of leave do we have?"))


@dataclass
class Ollama:
    """A well-behaved server, one token for each word and six for the template; `chat` takes over what it answers."""

    show: dict[str, Any] = field(default_factory=dict)
    context: int | None = CONTEXT
    on_graphics: int = 0
    counts: Callable[[int], int] = lambda tokens: tokens
    chat: Callable[[Asked, Answer], None] | None = None

    def __call__(self, asked: Asked, answer: Answer) -> None:
        match asked.path:
            case "/api/version":
                answer.json({"version": "0.33.3"})
            case "/api/show":
                info = {"general.architecture": "qwen3", "qwen3.context_length": 2048}
                answer.json({"model_info": info, "template": "{{ .Prompt }}", **self.show})
            case "/api/ps":
                running = {"model": "qwen3:0.6b", "size": 100, "size_vram": self.on_graphics, "context_length": self.context}
                answer.json({"models": [running]})
            case "/api/generate":
                answer.json({"done": True})
            case "/api/chat" if self.chat is None or asked.body["options"]["num_predict"] == 1:
                answer.begin()
                for word in ("Thirty ", "days."):
                    answer.line({"message": {"role": "assistant", "content": word}, "done": False})
                answer.line(self.done(asked))
                answer.end()
            case "/api/chat":
                assert self.chat is not None
                self.chat(asked, answer)
            case _:
                answer.json({"error": "not found"}, 404)

    def done(self, asked: Asked, **other: Any) -> dict[str, Any]:
        tokens = sum(len(message["content"].split()) + 6 for message in asked.body["messages"])
        counted = {"prompt_eval_count": self.counts(tokens), "prompt_eval_cached_count": 3, "eval_count": 2}
        return {"message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop", **counted, **other}


def model(name: str = "qwen3:0.6b") -> Model:
    return Model("qwen3@1", "language", "", "", 0, "served", 2048, "Apache-2.0", active=True, source=f"ollama:{name}")


def load(
    server: ScriptedServer, name: str = "qwen3:0.6b", context: int = CONTEXT, silence_s: float = 5.0, device: str = "cpu"
) -> OllamaRuntime:
    return OllamaRuntime(model(name), name, LocalClient(server.address, silence_s=silence_s), context, device)


@pytest.fixture
def ollama() -> Ollama:
    return Ollama()


@pytest.fixture
def server(ollama: Ollama) -> Iterator[ScriptedServer]:
    with ScriptedServer(ollama).running() as running:
        yield running


def request(**given: Any) -> CompletionRequest:
    return CompletionRequest(**{"messages": QUESTION, "max_tokens": 20, **given})


def text(deltas: list[Delta]) -> str:
    return "".join(delta.text for delta in deltas)


def code_of(answer: Callable[[], Any], kind: type[ApplianceError] = Unavailable) -> str:
    with pytest.raises(kind) as failed:
        answer()
    return failed.value.stable_code


# names and addresses


@pytest.mark.parametrize(
    "name",
    [
        "gpt-oss:120b-cloud",
        "gpt-oss:cloud",
        "gpt-oss-cloud",
        "gpt-oss-cloud:latest",
        "kimi:Cloud",
        "ns/some-CLOUD",
        "a/b/c:xcloud",
    ],
)
def test_names_of_the_cloud_are_refused(name):
    assert code_of(lambda: checked_name(name), Denied) == "inference.remote_model"


@pytest.mark.parametrize("name", ["", " ", "a b", "../etc", "a:b:c", "http://host/x", "a" * 201, "a/b/c/d", "-x", "x\n"])
def test_names_that_are_none_are_refused(name):
    assert code_of(lambda: checked_name(name), InvalidInput) == "inference.model_name"


@pytest.mark.parametrize("name", ["qwen3", "qwen3:0.6b", "library/qwen3:latest", "cloudy:7b", "hf.co/someone/model-GGUF:Q4_K_M"])
def test_other_names_are_taken(name):
    assert checked_name(name) == name


@pytest.mark.parametrize(
    "address",
    [
        "",
        "http://localhost:11434",
        "http://ollama.example.org:11434",
        "http://10.0.0.1:11434",
        "http://0.0.0.0:11434",
        "https://127.0.0.1:11434",
        "http://127.0.0.1",
        "http://127.0.0.1:port",
        "http://127.0.0.1@example.org:80",
        "http://user@127.0.0.1:11434",
        "http://127.0.0.1:11434/v1",
        "unix:relative",
    ],
)
def test_other_machines_are_refused(address):
    assert code_of(lambda: checked_address(address), SetupError) == "setup.ollama_address"


def test_this_machine_is_taken():
    assert checked_address("http://127.0.0.1:11434/") == ("http://127.0.0.1:11434", None)
    assert checked_address("http://[::1]:11434") == ("http://[::1]:11434", None)
    assert checked_address("unix:///run/ollama.sock") == ("http://127.0.0.1", "/run/ollama.sock")


def test_the_environment_is_ignored_and_no_redirect_followed(server, ollama, monkeypatch):
    with ScriptedServer(lambda _, answer: answer.redirect(server.address)).running() as other:
        for name in ("HTTP_PROXY", "ALL_PROXY", "OLLAMA_HOST"):
            monkeypatch.setenv(name, other.address)
        monkeypatch.setenv("OLLAMA_API_KEY", "secret-of-the-cloud")
        load(server)
        assert other.asked == []
        assert not any("secret" in str(asked.headers) for asked in server.asked)
        before = len(server.asked)
        assert code_of(lambda: load(other)) == "inference.died"
        assert len(server.asked) == before


# loading


def test_an_environment_that_the_package_cannot_bear_is_a_sentence(tmp_path):
    """In a process of its own: the package reads the environment when it is imported first."""
    program = (
        "from appliance.errors import SetupError\n"
        "from appliance.inference.ollama import SPEC\n"
        "from appliance.inference.models import Model\n"
        "from appliance.inference.registry import LoadRequest\n"
        "model = Model('m', 'language', '', '', 0, 'served', 8, '', active=True, source='ollama:m')\n"
        "try:\n    SPEC.load(LoadRequest(model, None, 8, 1))\n"
        "except SetupError as error:\n    print(error.stable_code)\n"
    )
    for name, value in (("OLLAMA_HOST", "http://a:b:c"), ("ALL_PROXY", "socks5://127.0.0.1:9"), ("SSL_CERT_FILE", "/none")):
        ended = subprocess.run([sys.executable, "-c", program], env={name: value}, capture_output=True, text=True, check=False)
        assert ended.stdout == "setup.ollama\n", ended.stderr


def test_it_is_registered_and_loads_through_the_door(server):
    assert runtime_spec("ollama") is SPEC
    runtime = SPEC.load(LoadRequest(model(), None, CONTEXT, 2, destination=server.address))
    assert runtime.model.id == "qwen3@1"
    assert runtime.context_tokens == CONTEXT
    assert runtime.health().ready
    assert runtime.health().detail == "Ollama 0.33.3"


@pytest.mark.parametrize("source", ["", "file", "ollama:", "destination:lan:qwen3"])
def test_a_model_that_is_not_ollamas_is_refused(server, source):
    request = LoadRequest(replace(model(), source=source), None, CONTEXT, 2, destination=server.address)
    assert code_of(lambda: SPEC.load(request), SetupError) == "inference.no_model"
    assert server.asked == []


@pytest.mark.parametrize("remote", [{"remote_host": "https://ollama.com:443"}, {"remote_model": "gpt-oss:120b"}])
def test_a_model_that_computes_elsewhere_is_refused_before_it_is_asked_anything(server, ollama, remote):
    ollama.show = remote
    assert code_of(lambda: load(server), Denied) == "inference.remote_model"
    assert "/api/chat" not in server.paths()


def test_a_model_trained_for_less_is_refused(server, ollama):
    assert code_of(lambda: load(server, context=4096), SetupError) == "setup.context_tokens"
    ollama.show = {"model_info": {}}
    assert code_of(lambda: load(server)) == "inference.load_failed"


@pytest.mark.parametrize("context", [CONTEXT - 1, None])
def test_a_server_that_gives_less_context_is_refused(server, ollama, context):
    ollama.context = context
    assert code_of(lambda: load(server)) == "inference.load_failed"


@pytest.mark.parametrize(
    ("on_graphics", "expected", "used"),
    [
        (0, "cpu", "cpu"),
        (0, "cuda:0", "cpu"),
        (100, "cuda:0", "cuda:0"),
        (60, "cuda:0", "cpu+cuda:0"),
        (100, "cpu", "gpu"),
        (60, "cpu", "cpu+gpu"),
    ],
)
def test_where_the_server_computes_is_told(server, ollama, on_graphics, expected, used):
    ollama.on_graphics = on_graphics
    assert load(server, device=expected).health().device == used


def test_where_the_server_computes_is_looked_at_again(server, ollama, monkeypatch):
    ollama.on_graphics = 100
    runtime = load(server, device="cuda:0")
    ollama.on_graphics = 40
    assert runtime.health().device == "cuda:0"  # only every few seconds
    monkeypatch.setattr("appliance.inference.ollama.runtime._LOOK_AGAIN_S", 0.0)
    assert runtime.health().device == "cpu+cuda:0"
    ollama.context = None  # as of a model that was unloaded meanwhile
    assert runtime.health().device == "cpu+cuda:0"


def test_a_server_that_leaves_out_what_it_remembers_is_refused(server, ollama):
    counts = iter([7, 1, 8, 14])
    ollama.counts = lambda _: next(counts)
    assert code_of(lambda: load(server)) == "inference.load_failed"


def test_a_missing_model_and_a_missing_server_are_told_apart():
    with ScriptedServer(lambda _, answer: answer.json({"error": "model 'qwen3:0.6b' not found"}, 404)).running() as server:
        assert code_of(lambda: load(server)) == "inference.no_model"
    assert code_of(lambda: load(server)) == "inference.unreachable"


# answers


def test_an_answer_is_streamed_with_its_usage(server):
    runtime = load(server)
    deltas = list(runtime.complete(request(temperature=0.5, seed=7, json_schema='{"type": "object"}')))
    assert text(deltas) == "Thirty days."
    assert deltas[-1].finish_reason is FinishReason.STOP
    assert deltas[-1].usage == Usage(prompt_tokens=22, completion_tokens=2, cached_tokens=3)
    body = server.asked[-1].body
    assert body["options"] == {"num_ctx": CONTEXT, "num_predict": 20, "temperature": 0.5, "seed": 7}
    assert body["format"] == {"type": "object"}
    assert (body["truncate"], body["shift"], body["keep_alive"]) == (False, False, "30m")
    assert all(asked.body["options"]["num_ctx"] == CONTEXT for asked in server.asked if asked.path == "/api/chat")


def test_the_estimate_never_falls_below_what_the_server_counts(server, ollama):
    runtime = load(server)
    longer = (*QUESTION, PromptMessage("assistant", "Thirty."), PromptMessage("user", "And in Wien, für Ärzte, 很多?"))
    for messages in (QUESTION, longer, (*longer, *longer[2:]), QUESTION[1:]):
        list(runtime.complete(request(messages=messages)))
        counted = ollama.done(server.asked[-1])["prompt_eval_count"]
        assert counted <= runtime.count_tokens(messages)


def test_a_prompt_that_might_not_fit_is_not_sent(server):
    runtime = load(server)
    asked = len(server.asked)
    long = request(messages=(PromptMessage("user", "x" * CONTEXT),))
    assert code_of(lambda: runtime.complete(long), InvalidInput) == "inference.context_overflow"
    assert len(server.asked) == asked


def test_a_grammar_and_a_broken_schema_are_refused(server):
    runtime = load(server)
    assert code_of(lambda: runtime.complete(request(grammar='root ::= "a"')), InvalidInput) == "inference.unsupported"
    assert code_of(lambda: runtime.complete(request(json_schema="{")), InvalidInput) == "inference.unsupported"


@pytest.mark.parametrize("said", [{"prompt_eval_count": 5}, {"prompt_eval_count": None}])
def test_a_prompt_that_was_not_read_whole_is_an_error(server, ollama, said):
    def truncating(asked: Asked, answer: Answer) -> None:
        answer.begin()
        answer.line({"message": {"role": "assistant", "content": "Sure!"}, "done": False})
        answer.line(ollama.done(asked, **said))
        answer.end()

    ollama.chat = truncating
    runtime = load(server)
    assert code_of(lambda: list(runtime.complete(request()))) == "inference.truncated"


def test_an_answer_cut_at_its_limit_says_so(server, ollama):
    def long(asked: Asked, answer: Answer) -> None:
        answer.begin()
        answer.line(ollama.done(asked, done_reason="length"))
        answer.end()

    ollama.chat = long
    assert list(load(server).complete(request()))[-1].finish_reason is FinishReason.LENGTH


@pytest.mark.parametrize(
    ("status", "said", "kind", "code"),
    [
        (404, "model 'qwen3:0.6b' not found, try pulling it first", Unavailable, "inference.no_model"),
        (503, "server busy, please try again. maximum pending requests exceeded", Unavailable, "inference.busy"),
        (400, "the input length exceeds the context length", InvalidInput, "inference.context_overflow"),
        (400, "invalid format", InvalidInput, "inference.unsupported"),
        (500, "model requires more system memory (5.6 GiB) than is available (2.1 GiB)", Unavailable, "inference.load_failed"),
        (500, "llama runner process has terminated: exit status 2", Unavailable, "inference.died"),
        (200, "an error was encountered while running the model: unexpected EOF", Unavailable, "inference.died"),
    ],
)
def test_errors_of_the_server_have_names(server, ollama, status, said, kind, code):
    ollama.chat = lambda _, answer: answer.json({"error": said}, status)
    runtime = load(server)
    assert code_of(lambda: list(runtime.complete(request())), kind) == code


def started(answer: Answer) -> None:
    answer.begin()
    answer.line({"message": {"role": "assistant", "content": "Thir"}, "done": False})


def ended(_: Asked, answer: Answer) -> None:
    started(answer)
    answer.end()


def dropped(_: Asked, answer: Answer) -> None:
    started(answer)
    answer.break_off()


def garbled(_: Asked, answer: Answer) -> None:
    started(answer)
    answer.send(b'{"message": {"content"\n')
    answer.end()


def shapeless(_: Asked, answer: Answer) -> None:
    started(answer)
    answer.line({"response": "x", "done": False})
    answer.end()


def failed_midway(_: Asked, answer: Answer) -> None:
    started(answer)
    answer.line({"error": "model runner has unexpectedly stopped"})
    answer.end()


def unloaded(_: Asked, answer: Answer) -> None:
    started(answer)
    answer.line({"message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "unload"})
    answer.end()


@pytest.mark.parametrize("broken", [ended, dropped, garbled, shapeless, failed_midway, unloaded])
def test_a_stream_that_does_not_end_properly_is_no_answer(server, ollama, broken):
    ollama.chat = broken
    seen: list[Delta] = []
    runtime = load(server)
    assert code_of(lambda: seen.extend(runtime.complete(request()))) == "inference.died"
    assert text(seen) in {"Thir", ""}
    assert not any(delta.finish_reason for delta in seen)


def test_a_model_that_turns_out_to_compute_elsewhere_is_refused(server, ollama):
    def forwarded(_: Asked, answer: Answer) -> None:
        answer.begin()
        answer.line({"remote_host": "https://ollama.com", "message": {"role": "assistant", "content": "x"}, "done": False})

    ollama.chat = forwarded
    runtime = load(server)
    assert code_of(lambda: list(runtime.complete(request())), Denied) == "inference.remote_model"


def test_a_slow_first_token_is_waited_for_and_silence_given_up(server, ollama):
    def slow(asked: Asked, answer: Answer) -> None:
        time.sleep(0.4)
        answer.begin()
        answer.line({"message": {"role": "assistant", "content": "late"}, "done": False})
        answer.line(ollama.done(asked))
        answer.end()

    ollama.chat = slow
    assert text(list(load(server, silence_s=2).complete(request()))) == "late"
    runtime = load(server, silence_s=0.2)
    assert code_of(lambda: list(runtime.complete(request()))) == "inference.timeout"


@pytest.mark.parametrize("talks_first", [False, True])
def test_a_stop_closes_the_stream_at_once(server, ollama, talks_first):
    def quiet(_: Asked, answer: Answer) -> None:
        if talks_first:
            started(answer)
        answer.wait_until_left()

    ollama.chat = quiet
    runtime = load(server)
    stopped = request()
    threading.Timer(0.3, stopped.cancelled.set).start()
    began = time.monotonic()
    deltas = list(runtime.complete(stopped))
    assert time.monotonic() - began < 1.5
    assert deltas[-1].finish_reason is FinishReason.CANCELLED
    assert deltas[-1].usage == Usage(completion_tokens=int(talks_first))
    assert server.asked[-1].gone.wait(2)
    assert runtime.health().running == 0


def test_a_deadline_ends_an_answer_that_goes_on_and_on(server, ollama):
    def endless(_: Asked, answer: Answer) -> None:
        answer.begin()
        while True:
            answer.line({"message": {"role": "assistant", "content": "on "}, "done": False})
            time.sleep(0.02)

    ollama.chat = endless
    deltas = list(load(server).complete(request(deadline_s=0.3)))
    assert deltas[-1].finish_reason is FinishReason.CANCELLED
    assert text(deltas).startswith("on on ")


def test_an_abandoned_answer_closes_the_stream(server, ollama):
    def quiet(_: Asked, answer: Answer) -> None:
        started(answer)
        answer.wait_until_left()

    ollama.chat = quiet
    runtime = load(server)
    answer = runtime.complete(request())
    next(answer)
    answer.close()
    assert server.asked[-1].gone.wait(2)


def test_closing_gives_the_memory_back(server):
    runtime = load(server)
    runtime.close()
    assert server.asked[-1].body == {"model": "qwen3:0.6b", "keep_alive": 0}
    assert not runtime.health().ready
    assert code_of(lambda: list(runtime.complete(request()))) == "inference.closed"


def test_a_server_that_is_gone_makes_health_say_so_and_closing_harmless():
    with ScriptedServer(Ollama()).running() as server:
        runtime = load(server)
    assert not runtime.health().ready
    runtime.close()
