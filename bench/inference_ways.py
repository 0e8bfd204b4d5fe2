"""Ways of asking a language model: this engine, the library's high-level interface one by one, the library's own server."""

from __future__ import annotations

import contextlib
import json
import socket
import statistics
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.inference.cores import available_cores
from appliance.inference.llamacpp.runtime import LlamaCppRuntime
from appliance.inference.models import CompletionRequest, PromptMessage
from appliance.inference.store import ModelStore
from bench.running_box import MODELS, ROOT

TOGETHER, CONTEXT = 8, 4096


@dataclass(frozen=True)
class Told:
    """One answer as its asker saw it: seconds after the question for the first piece, for the last, and each piece."""

    first: float
    last: float
    pieces: tuple[float, ...]
    cached: int = 0
    prompt: int = 0


Ask = Callable[[Sequence[PromptMessage], int, str], Told]


def default_weights() -> Path:
    return MODELS / ModelStore(MODELS).active("language").file


def runtime(weights: Path, *, drafting: bool) -> LlamaCppRuntime:
    model = ModelStore(MODELS).active("language")
    return LlamaCppRuntime(model, weights, CONTEXT, available_cores(), slots=TOGETHER, drafting=drafting)


def through(runtime: LlamaCppRuntime) -> Ask:
    def ask(messages: Sequence[PromptMessage], tokens: int, person: str) -> Told:
        began, pieces, usage = time.monotonic(), [], None
        for delta in runtime.complete(CompletionRequest(tuple(messages), tokens, person=person, conversation=person)):
            if delta.text:
                pieces.append(time.monotonic() - began)
            usage = delta.usage or usage
        assert usage is not None
        return Told(pieces[0], pieces[-1], tuple(pieces), usage.cached_tokens, usage.prompt_tokens)

    return ask


def at_once(ask: Ask, prompts: Sequence[Sequence[PromptMessage]], tokens: int) -> list[Told]:
    told: list[Told | None] = [None] * len(prompts)

    def one(number: int) -> None:
        told[number] = ask(prompts[number], tokens, f"person {number}")

    threads = [threading.Thread(target=one, args=(number,)) for number in range(len(prompts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [answer for answer in told if answer is not None]


def one_by_one(llama: Any, prompts: Sequence[Sequence[PromptMessage]], tokens: int) -> list[Told]:
    """All asked at the same moment, answered in turn by the library's high-level interface."""
    began, told = time.monotonic(), []
    for prompt in prompts:
        messages = [{"role": message.role, "content": message.text} for message in prompt]
        parts = llama.create_chat_completion(messages, max_tokens=tokens, temperature=0.0, stream=True)
        pieces = [time.monotonic() - began for part in parts if part["choices"][0]["delta"].get("content")]
        told.append(Told(pieces[0], pieces[-1], tuple(pieces)))
    return told


def asked(url: str) -> Ask:
    """The library's server, as a client of its chat interface."""

    def ask(messages: Sequence[PromptMessage], tokens: int, _person: str) -> Told:
        began = time.monotonic()
        said = [{"role": message.role, "content": message.text} for message in messages]
        body = {"messages": said, "max_tokens": tokens, "temperature": 0.0, "stream": True}
        request = urllib.request.Request(
            f"{url}/v1/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=600) as answer:
            pieces = [time.monotonic() - began for line in answer if _carries_text(line)]
        return Told(pieces[0], pieces[-1], tuple(pieces))

    return ask


def _carries_text(line: bytes) -> bool:
    return line.startswith(b"data: {") and bool(json.loads(line[6:])["choices"][0]["delta"].get("content"))


@contextlib.contextmanager
def server(weights: Path) -> Iterator[str | None]:
    """The library's own server on loopback; None where its requirements are not installed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = {
        "model": weights,
        "n_ctx": CONTEXT,
        "n_batch": 512,
        "n_threads": available_cores(),
        "n_threads_batch": available_cores(),
        "flash_attn": True,
        "chat_format": "chatml",
        "host": "127.0.0.1",
        "port": port,
        "interrupt_requests": False,
    }
    given = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    process = subprocess.Popen(
        [sys.executable, "-m", "llama_cpp.server", *given], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT
    )
    url = f"http://127.0.0.1:{port}"
    try:
        while process.poll() is None and not answers(url):
            time.sleep(0.1)
        yield None if process.poll() is not None else url
    finally:
        process.terminate()
        process.wait(20)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/v1/models", timeout=2):
            return True
    except OSError:
        return False


def figures_of(told: list[Told]) -> dict[str, float]:
    """Tokens per second of all together, and seconds to the first token: mean and worst."""
    firsts = [answer.first for answer in told]
    tokens = sum(len(answer.pieces) for answer in told)
    return {
        "rate": tokens / max(answer.last for answer in told),
        "first": statistics.mean(firsts),
        "worst": max(firsts),
    }
