"""The browser's stream against llama.cpp alone: time to the first delta and decode rate for the same prompts, in one run.

The question goes through everything: HTTP, policy, audit, queue, search, prompt, model, Redis stream, server-sent events. The
other side is handed the finished prompt of such an answer as tokens and does nothing but decode. Targets: first delta no later
than 1.15 x + 30 ms, decode rate at least 0.95 x. Everything is asked twice. First as shipped: a micro model's sentences are
shown once they are checked, and quotations lead; `first_delta` is then a quotation, and `first_token` the event that says that
the model has begun to write. Such answers end after a sentence or two, too soon for a rate; so the model is declared a larger
one for the second time, whose text is streamed as it comes, and the rate is that of the pieces as they arrive.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import update

from appliance.bootstrap import Appliance, open_appliance
from appliance.identity.store import principal_by_name
from appliance.inference.llamacpp.native import BATCH_TOKENS, NativeModel
from appliance.inference.llamacpp.runtime import LlamaCppRuntime
from appliance.inference.llamacpp.sampling import Sampling
from appliance.inference.models import CompletionRequest, Model, PromptMessage
from appliance.inference.selection.models import DEFAULT_CLASSIFICATION, SelectionRequest
from appliance.inference.store.versions import SizeClass
from appliance.inference.stub import stub_router
from appliance.settings import load_settings
from appliance.storage.tables import model_versions
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
LONGER = (
    "What are the rules for annual leave and how is it carried over?",
    "What should I do when a sailing is cancelled because of a storm?",
    "How are travel expenses paid back and what is not paid?",
    "What are the rules for visitors who come to the office?",
    "What happens when a laptop is lost or stolen?",
    "How do I report an accident at work?",
    "What is the password rule and how often is it changed?",
    "What must be done before a ferry leaves the pier?",
    "What are the duties of the harbour master in a storm?",
)
ALLOWED, ALLOWED_MS = 1.15, 30.0
ROUNDS, LONG_ENOUGH = 1, 24
_SAMPLE = 96

Pair = tuple[dict[str, float], dict[str, float]]
"""What was measured through the appliance, and what of the library alone."""


class Recording:
    """A runtime that remembers the prompt it was given and says nothing."""

    def __init__(self, runtime: LlamaCppRuntime, model: Model) -> None:
        self._runtime = runtime
        self.model = model
        self.messages: tuple[PromptMessage, ...] = ()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runtime, name)

    def complete(self, request: CompletionRequest) -> Any:
        self.messages = request.messages
        return iter(())


def main() -> None:
    with running_box((HANDBOOK,)) as (client, directory):
        appliance = open_appliance(load_settings(directory, {}))
        model = appliance.models.active("language")
        with appliance.router.lend(appliance.router.select(SelectionRequest(DEFAULT_CLASSIFICATION))) as runtime:
            shipped = recorded_prompts(appliance, runtime, model, QUESTIONS)  # type: ignore[arg-type]
            larger = recorded_prompts(appliance, runtime, replace(model, size_bytes=10**10), LONGER)  # type: ignore[arg-type]
        native = NativeModel(MODELS / model.file, context_tokens=4096, threads=appliance.threads)
        ask(client, QUESTIONS[0])  # the first answer of a process warms up what is loaded lazily
        begun = compare(client, native, shipped)
        with appliance.database.write() as connection:
            connection.execute(update(model_versions).values(size_class=SizeClass.SMALL))
        written = [pair for _ in range(ROUNDS) for pair in compare(client, native, larger)]
        native.close()
        appliance.close()
    # between the words of two tries a prompt is read, which is no writing
    report(begun, [pair for pair in written if pair[0]["tokens"] >= LONG_ENOUGH and pair[0]["tries"] == 1])


def recorded_prompts(
    appliance: Appliance, runtime: LlamaCppRuntime, model: Model, questions: Sequence[str]
) -> dict[str, list[int]]:
    """The prompt of each question to such a model, as tokens; questions that are refused without the model are left out."""
    recording = Recording(runtime, model)
    appliance.__dict__["router"] = stub_router(recording)  # type: ignore[arg-type]
    appliance.__dict__.pop("chat", None)
    with appliance.database.read() as connection:
        principal = principal_by_name(connection, NAME)
    assert principal is not None
    prompts = {}
    for question in questions:
        recording.messages = ()
        appliance.chat.answer_now(principal, question)
        if recording.messages:
            prompts[question] = recording.render(recording.messages)
    return prompts


def compare(client: Client, native: NativeModel, prompts: dict[str, list[int]]) -> list[Pair]:
    """Each question through the appliance, and right before and after it the same work by the library alone."""
    pairs = []
    for question, prompt in prompts.items():
        before = decode(native, prompt, _SAMPLE)
        there = ask(client, question)
        after = decode(native, prompt, max(_SAMPLE, there["tokens"]))
        # the speed of a virtual core drifts within seconds: what surrounds a measurement is what it is compared with
        first_ms = (before["first_ms"] + after["first_ms"]) / 2
        seconds_per_token = (1 / before["per_s"] + 1 / after["per_s"]) / 2
        pairs.append((there, {"first_ms": first_ms, "per_s": 1 / seconds_per_token, "prompt_tokens": len(prompt)}))
    return pairs


def ask(client: Client, question: str) -> dict[str, float]:
    conversation = client.call("POST", "/api/conversations", {})
    started = time.monotonic()
    asked = client.call("POST", f"/api/conversations/{conversation['id']}/messages", {"text": question})
    shown, writing, tries = [], 0.0, 1
    for name, data in client.events(f"/api/messages/{asked['answer']['id']}/events"):
        if name == "delta":
            shown.append(time.monotonic())
        elif name == "stage" and data["name"] == "writing":
            writing = time.monotonic()
        elif name == "stage" and data["name"] == "again":
            tries += 1
        elif name == "done":
            break
    tokens = data["completion_tokens"]
    return {
        "shown_ms": (shown[0] - started) * 1000,
        "first_ms": (writing - started) * 1000,
        "per_s": (tokens - 1) / (shown[-1] - shown[0]) if len(shown) > 1 else 0.0,
        "tokens": tokens,
        "tries": tries,
    }


def decode(native: NativeModel, prompt: list[int], count: int) -> dict[str, float]:
    native.forget_from(0)
    sampler = native.sampler(Sampling(0.0, 0))
    started = time.monotonic()
    for position in range(0, len(prompt), BATCH_TOKENS):
        native.decode(prompt[position : position + BATCH_TOKENS])
    token = sampler.next_token()
    first = time.monotonic()
    for _ in range(count - 1):
        native.decode([token])
        token = sampler.next_token()
    ended = time.monotonic()
    sampler.close()
    return {"first_ms": (first - started) * 1000, "per_s": (count - 1) / (ended - first), "prompt_tokens": len(prompt)}


def report(begun: list[Pair], written: list[Pair]) -> None:
    over = [there["first_ms"] / (ALLOWED * alone["first_ms"] + ALLOWED_MS) for there, alone in begun]
    result = {
        "bench": "answer",
        "questions": len(begun),
        "prompt_tokens": round(statistics.median(alone["prompt_tokens"] for _, alone in begun)),
        "first_delta_ms": round(statistics.median(there["shown_ms"] for there, _ in begun)),
        "first_token_ms": round(statistics.median(there["first_ms"] for there, _ in begun)),
        "first_token_alone_ms": round(statistics.median(alone["first_ms"] for _, alone in begun)),
        "first_token_of_allowed": round(statistics.median(over), 3),
        "first_token_of_allowed_worst": round(max(over), 3),
        "answers_streamed": len(written),
        "tokens_streamed": round(statistics.median(there["tokens"] for there, _ in written)),
        "decode_ratio": round(_seconds(alone for _, alone in written) / _seconds(there for there, _ in written), 3),
        "decode_ratios": [round(there["per_s"] / alone["per_s"], 2) for there, alone in written],
        "decode_per_s": round(statistics.median(there["per_s"] for there, _ in written), 1),
    }
    print(json.dumps(result))


def _seconds(measured: Iterable[dict[str, float]]) -> float:
    """For one token of each answer."""
    return sum(1 / one["per_s"] for one in measured)


if __name__ == "__main__":
    assert Path(MODELS).exists(), "run the tests once: they prepare the models"
    main()
