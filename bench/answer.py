"""The browser's stream against llama.cpp alone: time to the first delta and decode rate for the same prompts, in one run.

The question goes through everything: HTTP, policy, audit, queue, search, prompt, model, Redis stream, server-sent events. The
other side is handed the finished prompt of that very answer as tokens and does nothing but decode. Targets: first delta no later
than 1.15 x + 30 ms, decode rate at least 0.95 x. A micro model's sentences are shown once they are checked, and quotations
lead: `first_delta` is then a quotation, and `first_token` the event that says that the model has begun to write.
"""

from __future__ import annotations

import json
import statistics
import time
from pathlib import Path
from typing import Any

from appliance.bootstrap import Appliance, open_appliance
from appliance.inference.llamacpp.native import BATCH_TOKENS, NativeModel
from appliance.inference.llamacpp.runtime import LlamaCppRuntime
from appliance.inference.llamacpp.sampling import Sampling
from appliance.inference.models import CompletionRequest, PromptMessage
from appliance.inference.selection.models import DEFAULT_CLASSIFICATION, SelectionRequest
from appliance.inference.stub import stub_router
from appliance.settings import load_settings
from bench.running_box import MODELS, NAME, ROOT, Client, running_box

HANDBOOK = ROOT / "appliance" / "administration" / "handbook"
QUESTIONS = (
    "How many days of annual leave are there, and how many may be carried over?",
    "What is the limit for a hotel per night?",
    "When do the ferries stop sailing in a storm?",
    "Who has to sign in at the gate and what do visitors wear?",
    "What must I do when my laptop is lost?",
    "Which costs does the expense rule not pay for?",
)
ALLOWED, ALLOWED_MS = 1.15, 30.0


class Recording:
    """A runtime that remembers the prompt it was given and says nothing."""

    def __init__(self, runtime: LlamaCppRuntime) -> None:
        self._runtime = runtime
        self.messages: tuple[PromptMessage, ...] = ()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runtime, name)

    def complete(self, request: CompletionRequest) -> Any:
        self.messages = request.messages
        return iter(())


def main() -> None:
    with running_box((HANDBOOK,)) as (client, directory):
        appliance = open_appliance(load_settings(directory, {}))
        prompts = recorded_prompts(appliance)
        model = appliance.models.active("language")
        native = NativeModel(MODELS / model.file, context_tokens=4096, threads=appliance.threads)
        pairs = []
        ask(client, QUESTIONS[0])  # the first answer of a process warms up what is loaded lazily
        for question, prompt in prompts.items():
            there = ask(client, question)
            alone = decode(native, prompt, there["tokens"])
            pairs.append((there, alone))
        native.close()
        appliance.close()
    report(pairs)


def recorded_prompts(appliance: Appliance) -> dict[str, list[int]]:
    """The exact prompt of each question, as tokens; questions that are refused without the model are left out."""
    with appliance.router.lend(appliance.router.select(SelectionRequest(DEFAULT_CLASSIFICATION))) as runtime:
        recording = Recording(runtime)  # type: ignore[arg-type]
        appliance.__dict__["router"] = stub_router(recording)  # type: ignore[arg-type]
        with appliance.database.read() as connection:
            from appliance.identity.store import principal_by_name

            principal = principal_by_name(connection, NAME)
        assert principal is not None
        prompts = {}
        for question in QUESTIONS:
            recording.messages = ()
            appliance.chat.answer_now(principal, question)
            if recording.messages:
                prompts[question] = recording.render(recording.messages)
    return prompts


def ask(client: Client, question: str) -> dict[str, float]:
    conversation = client.call("POST", "/api/conversations", {})
    started = time.monotonic()
    asked = client.call("POST", f"/api/conversations/{conversation['id']}/messages", {"text": question})
    shown = writing = 0.0
    for name, data in client.events(f"/api/messages/{asked['answer']['id']}/events"):
        if name == "delta":
            shown = shown or time.monotonic()
        elif name == "stage" and data["name"] == "writing":
            writing = time.monotonic()
        elif name == "done":
            break
    spent_ms = data["timing"]["written_ms"] - data["timing"]["first_token_ms"]
    return {
        "shown_ms": (shown - started) * 1000,
        "first_ms": (writing - started) * 1000,
        "per_s": (data["completion_tokens"] - 1) / spent_ms * 1000,
        "tokens": data["completion_tokens"],
    }


def decode(native: NativeModel, prompt: list[int], count: int) -> dict[str, float]:
    native.forget_from(0)
    sampler = native.sampler(Sampling(0.0, 0))
    started = time.monotonic()
    for position in range(0, len(prompt), BATCH_TOKENS):
        native.decode(prompt[position : position + BATCH_TOKENS])
    token = sampler.next_token()
    first = time.monotonic()
    for _ in range(int(count) - 1):
        native.decode([token])
        token = sampler.next_token()
    ended = time.monotonic()
    sampler.close()
    return {"first_ms": (first - started) * 1000, "per_s": (count - 1) / (ended - first), "prompt_tokens": len(prompt)}


def report(pairs: list[tuple[dict[str, float], dict[str, float]]]) -> None:
    over = [there["first_ms"] / (ALLOWED * alone["first_ms"] + ALLOWED_MS) for there, alone in pairs]
    rates = [there["per_s"] / alone["per_s"] for there, alone in pairs if there["tokens"] >= 8]
    result = {
        "bench": "answer",
        "questions": len(pairs),
        "prompt_tokens": round(statistics.median(alone["prompt_tokens"] for _, alone in pairs)),
        "first_delta_ms": round(statistics.median(there["shown_ms"] for there, _ in pairs)),
        "first_token_ms": round(statistics.median(there["first_ms"] for there, _ in pairs)),
        "first_token_alone_ms": round(statistics.median(alone["first_ms"] for _, alone in pairs)),
        "first_token_of_allowed": round(statistics.median(over), 3),
        "first_token_of_allowed_worst": round(max(over), 3),
        "decode_ratio": round(statistics.median(rates), 3),
        "decode_per_s": round(statistics.median(there["per_s"] for there, _ in pairs), 1),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    assert Path(MODELS).exists(), "run the tests once: they prepare the models"
    main()
