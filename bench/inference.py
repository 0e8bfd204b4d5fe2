"""The engine with many conversations at once, against the same library served one by one; ratios of one run.

Targets. Eight conversations at once (300-token prompts of which 120 are shared, 64 tokens each): together at least 1.6 x the
tokens per second and at most 0.5 x the mean first-token time of the library's high-level interface served one by one, ahead of
its server in both; the worst first token at most 2 x the mean; writing alone at least 3 x one conversation. The second question
of a conversation reads only what is new. Guessing from the prompt: at least 1.3 x on answers that copy (seven of ten of their
tokens go on as the prompt does), never below 0.98 x on others. The first token while documents are being embedded: at most 1.5 x
an idle box. `library` says what the library itself gains from steps of eight on this machine, which bounds the first and the
fourth of these.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from appliance.inference.cores import available_cores
from appliance.inference.llamacpp.runtime import LlamaCppRuntime
from appliance.inference.models import CompletionRequest, PromptMessage
from bench.inference_bare import library_ceiling
from bench.inference_prompts import COPIED, SHARED, TOPICS, passage
from bench.inference_ways import (
    CONTEXT,
    TOGETHER,
    Told,
    asked,
    at_once,
    default_weights,
    figures_of,
    one_by_one,
    runtime,
    server,
    through,
)
from bench.running_box import ROOT

ANSWER = 64
_COPIES = 0.7
EMBEDDING = """
import os, sys
from workers.main import INGEST_NICENESS
os.nice(INGEST_NICENESS)
from bench.embedding import MODELS, _chunks
from appliance.inference.cores import available_cores
from appliance.inference.embedder import load_embedder
from appliance.inference.store import ModelStore
embedder = load_embedder(ModelStore(MODELS), threads=available_cores())
texts = _chunks(embedder, 1000)
print("ready", flush=True)
while True:
    for start in range(0, len(texts), 16):
        embedder.embed(texts[start:start + 16])
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--weights", type=Path, default=default_weights(), help="a GGUF file other than the default model's")
    given = parser.parse_args()
    weights = given.weights
    plain, guessing = runtime(weights, drafting=False), runtime(weights, drafting=True)
    overhead = Overhead(plain)
    result = {"bench": "inference", "cores": available_cores(), "rounds": given.rounds}
    with server(weights) as url:
        result |= together(plain, weights, url, given.rounds)
    result |= decoding(plain, given.rounds)
    result |= library_ceiling(weights, CONTEXT, TOGETHER, given.rounds)
    result |= {"python_ms_per_step": overhead.per_step()}
    result |= second_question(plain)
    result |= drafting(plain, guessing, given.rounds)
    result |= beside_embedding(plain, given.rounds)
    plain.close()
    guessing.close()
    print(json.dumps(result))


class Overhead:
    """What a step costs beside the library's own time."""

    def __init__(self, runtime: LlamaCppRuntime) -> None:
        self._engine: Any = runtime._engine  # noqa: SLF001 - measured from inside, as nothing outside sees a step
        self._inside, self._all, self._steps = 0.0, 0.0, 0
        native, advance = self._engine._native, self._engine._advance  # noqa: SLF001
        decode = native.decode_batch

        def timed_decode() -> None:
            began = time.perf_counter()
            decode()
            self._inside += time.perf_counter() - began

        def timed_advance() -> None:
            began, before = time.perf_counter(), self._engine.steps
            advance()
            if self._engine.steps > before:
                self._all += time.perf_counter() - began
                self._steps += 1

        native.decode_batch, self._engine._advance = timed_decode, timed_advance  # noqa: SLF001

    def per_step(self) -> dict[str, float]:
        return {
            "outside": round((self._all - self._inside) / self._steps * 1000, 2),
            "of_step": round((self._all - self._inside) / self._all, 3),
        }


def conversation(round_number: int, number: int) -> list[PromptMessage]:
    """About 300 tokens, 120 of them the same for everybody in a round."""
    system = PromptMessage("system", f"Round {round_number}. {SHARED}")
    topic = TOPICS[(number + round_number) % len(TOPICS)]
    text = f"{passage(number, round_number)}\nWrite a long story about {topic}, with every detail you can think of."
    return [system, PromptMessage("user", text)]


def together(runtime: LlamaCppRuntime, weights: Path, url: str | None, rounds: int) -> dict[str, Any]:
    from llama_cpp import Llama

    threads = available_cores()
    llama = Llama(
        str(weights), n_ctx=CONTEXT, n_batch=512, n_threads=threads, n_threads_batch=threads, flash_attn=True,
        chat_format="chatml", verbose=False,
    )  # fmt: skip
    ways: dict[str, Callable[[list[list[PromptMessage]]], list[Told]]] = {
        "engine": lambda prompts: at_once(through(runtime), prompts, ANSWER),
        "one_by_one": lambda prompts: one_by_one(llama, prompts, ANSWER),
    }
    if url is not None:
        ways["server"] = lambda prompts: at_once(asked(url), prompts, ANSWER)
    figures: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        prompts = [conversation(number, person) for person in range(TOGETHER)]
        for name, way in ways.items():
            told = way(prompts)
            if number:  # the first round warms up
                figures[name].append(figures_of(told))
    llama.close()
    engine, result = figures["engine"], {}
    for other in [name for name in ways if name != "engine"]:
        pairs = list(zip(engine, figures[other], strict=True))
        result[f"tokens_per_s_of_{other}"] = middle([mine["rate"] / its["rate"] for mine, its in pairs])
        result[f"first_token_of_{other}"] = middle([mine["first"] / its["first"] for mine, its in pairs])
    return result | {
        "worst_first_token_of_mean": middle([mine["worst"] / mine["first"] for mine in engine]),
        "tokens_per_s": {name: middle([figure["rate"] for figure in figures[name]], 1) for name in ways},
        "first_token_s": {name: middle([figure["first"] for figure in figures[name]]) for name in ways},
    }


def decoding(runtime: LlamaCppRuntime, rounds: int) -> dict[str, Any]:
    """Writing alone: between the last first token and the first end, eight against one."""
    single, eight = [], []
    for number in range(rounds):
        prompts = [conversation(100 + number, person) for person in range(TOGETHER)]
        single.append(_writing(at_once(through(runtime), prompts[:1], 2 * ANSWER)))
        eight.append(_writing(at_once(through(runtime), prompts, 2 * ANSWER)))
    ratios = [more / one for more, one in zip(eight, single, strict=True)]
    return {"writing_of_one": middle(ratios), "writing_per_s": {"one": middle(single, 1), "eight": middle(eight, 1)}}


def _writing(told: list[Told]) -> float:
    begin, end = max(answer.first for answer in told), min(answer.last for answer in told)
    return sum(begin < piece <= end for answer in told for piece in answer.pieces) / (end - begin)


def second_question(runtime: LlamaCppRuntime) -> dict[str, Any]:
    ask = through(runtime)
    messages = conversation(200, 0)
    written = "".join(delta.text for delta in runtime.complete(CompletionRequest(tuple(messages), ANSWER, conversation="c")))
    began_with = runtime.count_tokens(messages)
    messages = [*messages, PromptMessage("assistant", written), PromptMessage("user", "And what happened after that?")]
    told = ask(messages, 8, "")
    return {"second_question": {"prompt": told.prompt, "cached": told.cached, "first_prompt": began_with}}


def drafting(plain: LlamaCppRuntime, guessing: LlamaCppRuntime, rounds: int) -> dict[str, Any]:
    """Seconds per token of the same answers with and without guesses, one after the other in turns.

    What an answer is, is told by what was written: of those asked to copy, a small model words some anew.
    """
    asked = [[PromptMessage("system", "Answer briefly."), PromptMessage("user", text)] for text in COPIED]
    asked += [conversation(300, number) for number in range(TOGETHER)]
    ratios: dict[str, list[float]] = {"copied": [], "others": []}
    answers = dict.fromkeys(ratios, 0)
    for prompt in asked:
        kind = "copied" if _copied(plain, prompt) >= _COPIES else "others"
        answers[kind] += 1
        for number in range(rounds):
            pair = (plain, guessing) if number % 2 else (guessing, plain)
            pace = {runtime is guessing: _pace(runtime, prompt) for runtime in pair}
            ratios[kind].append(pace[False] / pace[True])
    result: dict[str, Any] = {}
    for kind, found in ratios.items():
        result[f"guessing_{kind}"] = middle(found)
        result[f"guessing_{kind}_quartiles"] = [round(value, 3) for value in statistics.quantiles(found, n=4)[::2]]
        result[f"guessing_{kind}_answers"] = answers[kind]
    return result


def _copied(runtime: LlamaCppRuntime, prompt: Sequence[PromptMessage]) -> float:
    """The share of an answer's tokens that stand in the prompt behind the same three tokens."""
    engine: Any = runtime._engine  # noqa: SLF001 - it tells tokens from text as the model does
    text = "".join(delta.text for delta in runtime.complete(CompletionRequest(tuple(prompt), 2 * ANSWER)))
    read, written = (engine._native.tokenise(part, special=False) for part in ("\n".join(m.text for m in prompt), text))  # noqa: SLF001
    known = {tuple(read[at : at + 4]) for at in range(len(read) - 3)}
    runs = [tuple(written[at : at + 4]) in known for at in range(len(written) - 3)]
    return sum(runs) / max(1, len(runs))


def _pace(runtime: LlamaCppRuntime, prompt: Sequence[PromptMessage]) -> float:
    began, usage = 0.0, None
    for delta in runtime.complete(CompletionRequest(tuple(prompt), 2 * ANSWER)):
        began = began or time.monotonic()
        usage = delta.usage or usage
    assert usage is not None
    return (time.monotonic() - began) / max(1, usage.completion_tokens - 1)


def beside_embedding(runtime: LlamaCppRuntime, rounds: int) -> dict[str, Any]:
    """The first token, idle and while the process that takes documents in embeds, as it runs in the appliance."""
    ask = through(runtime)
    ratios, idle, busy = [], [], []
    for number in range(rounds):
        idle.append(statistics.median(ask(conversation(400 + number, person), 4, "").first for person in range(3)))
        process = subprocess.Popen([sys.executable, "-c", EMBEDDING], stdout=subprocess.PIPE, cwd=ROOT)
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            time.sleep(1)
            busy.append(statistics.median(ask(conversation(500 + number, person), 4, "").first for person in range(3)))
        finally:
            process.kill()
            process.wait()
        ratios.append(busy[-1] / idle[-1])
    return {"first_token_beside_embedding": middle(ratios), "first_token_idle_s": middle(idle)}


def middle(values: Sequence[float], digits: int = 3) -> float:
    return round(statistics.median(values), digits)


if __name__ == "__main__":
    main()
