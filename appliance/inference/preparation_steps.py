"""The steps of preparation that run native code, each in a process of its own.

A crash in native code (a kernel the processor does not really have, a damaged file) ends that process and becomes a sentence;
the memory a step took is given back when it ends, and it ends with whoever started it. Each step prints one JSON object.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from appliance.errors import ApplianceError, SetupError, Unavailable
from appliance.inference.models import CompletionRequest, FinishReason, Model, PromptMessage
from appliance.inference.runtime import Runtime
from appliance.inference.telemetry import silence
from appliance.lifeline import die_with_parent

DECODE_TOKENS = 32
_CONTEXT_TOKENS = 1_024
_AT_ONCE = 4
_ASIDE = 10
_TRIED_TOKENS = 256
_TIMEOUT_S = 900
PROBES = (
    "The night porter keeps the keys of the east wing in the blue cabinet.",
    "Invoices above 5,000 euros need two signatures, one of them from the finance department.",
    "How long may perishable goods stay in the loading bay before they are moved to the cold store?",
    "Section 4.2: visitors sign in at reception, receive a badge and are accompanied at all times.",
)


def run_step(name: str, *arguments: str | Path | int, nice: int = 0) -> dict[str, Any]:
    """What the step printed. Raises `SetupError`: the step's own sentence, or that it crashed (`setup.step_crashed`)."""
    silence()
    ours = [str(os.getpid()), str(nice)]
    command = [sys.executable, "-m", "appliance.inference.preparation_steps", *ours, name, *map(str, arguments)]
    root = Path(__file__).parents[2]  # where the package is found again, wherever we were started
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        raise SetupError(f"Preparing the models took too long at step {name}.", code="setup.step_crashed", step=name) from None
    try:
        answer: dict[str, Any] = json.loads(done.stdout.strip().rpartition("\n")[2])
    except json.JSONDecodeError:
        answer = {}
    if "error" in answer:
        raise SetupError(str(answer["error"]), code=str(answer["code"]), step=name)
    if done.returncode != 0 or not answer:
        last_words = done.stderr.strip().rpartition("\n")[2]
        raise SetupError(
            f"Preparing the models failed at step {name}: its process ended with status {done.returncode}. {last_words}".strip(),
            code="setup.step_crashed",
            step=name,
            status=done.returncode,
        )
    return answer


def run_step_aside(name: str, *arguments: str | Path | int) -> dict[str, Any]:
    """The same at a low priority: whoever is being answered meanwhile comes first."""
    return run_step(name, *arguments, nice=_ASIDE)


def requantise(source: str, target: str, file_type: str) -> dict[str, Any]:
    """Write the language model `source` to `target` in another format, given as llama.cpp's number for it."""
    import ctypes

    from appliance.inference.llamacpp.library import library

    lib = library()
    parameters = lib.llama_model_quantize_default_params()
    parameters.allow_requantize = True
    parameters.ftype = int(file_type)
    status = lib.llama_model_quantize(source.encode(), target.encode(), ctypes.byref(parameters))
    if status != 0:
        raise SetupError("The language model could not be converted; is the disk full?", code="setup.model_conversion")
    return {"size_bytes": Path(target).stat().st_size}


def write_folder(source: str, target: str) -> dict[str, Any]:
    """Write the language model `source` as a folder for ONNX Runtime GenAI, its weights as they are."""
    from appliance.inference.onnx_folder import convert

    convert.write_folder(Path(source), Path(target))
    return {"size_bytes": sum(file.stat().st_size for file in Path(target).iterdir())}


def quality(runtime: str, path: str, threads: str, limit: str) -> dict[str, Any]:
    """Share of the fixed questions that the model answers rightly through this runtime; `limit` 0 asks all."""
    from appliance.inference.quality import load_questions, share_answered

    loaded = _loaded(runtime, path, threads)
    try:
        questions = load_questions(int(limit) or None)
        return {"quality": round(share_answered(loaded, questions), 3), "questions": len(questions)}
    finally:
        loaded.close()


def measure(runtime: str, path: str, threads: str, rounds: str) -> dict[str, Any]:
    """Tokens per second of reading a prompt and of writing an answer, the best of `rounds`, through the runtime itself."""
    loaded = _loaded(runtime, path, threads)
    try:
        prefill = decode = 0.0
        for number in range(int(rounds)):
            read, written, first_s, whole_s = _timed(loaded, number)
            if written < _AT_ONCE:
                raise SetupError("The model ends its answer before it has begun.", code="setup.model_silent")
            prefill = max(prefill, read / max(first_s, 1e-6))
            decode = max(decode, (written - 1) / max(whole_s - first_s, 1e-6))
        return {
            "prefill_tokens_per_s": round(prefill, 1),
            "decode_tokens_per_s": round(decode, 1),
            "memory_mb": _peak_mb(),
        }
    finally:
        loaded.close()


def four_at_once(runtime: str, path: str, threads: str, rounds: str) -> dict[str, Any]:
    """How many times as fast four answers are at once as one after another, at least 1; the best of `rounds` each, in turns.

    They are half as long as others, so that all of them have room in the memory of one prompt.
    """
    loaded = _loaded(runtime, path, threads)
    try:
        in_turns_s = together_s = float("inf")
        for first in range(0, int(rounds) * 2 * _AT_ONCE, 2 * _AT_ONCE):
            in_turns_s = min(in_turns_s, sum(_timed(loaded, first + number, half=True)[3] for number in range(_AT_ONCE)))
            together_s = min(together_s, _together_s(loaded, first + _AT_ONCE))
        return {"four_at_once": round(max(1.0, in_turns_s / together_s), 2)}
    finally:
        loaded.close()


def _together_s(loaded: Runtime, first: int) -> float:
    """Seconds until all of four answers that were asked for at once are written."""
    failures = list[ApplianceError]()

    def answer(number: int) -> None:
        try:
            _timed(loaded, number, half=True)
        except ApplianceError as error:
            failures.append(error)

    asking = [threading.Thread(target=answer, args=(first + number,)) for number in range(_AT_ONCE)]
    start = time.perf_counter()
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    if failures:
        raise failures[0]
    return time.perf_counter() - start


def _timed(loaded: Runtime, number: int, *, half: bool = False) -> tuple[int, int, float, float]:
    """Tokens read and written, seconds to the first and to the last, of an answer whose prompt no other `number` begins like.

    Drawn by chance, so that it does not end at once. A repeatable one runs alone, and no runtime guesses what follows: what
    guessing gains is in the words of an answer, and two variants write different ones. Those that are half as long may run
    beside others, with whatever their runtime does then.
    """
    parts, most = (2, DECODE_TOKENS // 2) if half else (4, DECODE_TOKENS)
    messages = (
        PromptMessage("system", f"Round {number}."),
        PromptMessage("user", " ".join(PROBES * parts) + " Describe this in many words."),
    )
    request = CompletionRequest(messages, most, temperature=1.0, seed=1, repeatable=not half, conversation=str(number))
    start = first = time.perf_counter()
    read = written = 0
    for delta in loaded.complete(request):
        if delta.finish_reason is FinishReason.ERROR:
            raise Unavailable("The model failed while it answered.", code="inference.died")
        first = time.perf_counter() if delta.text and first == start else first
        if delta.usage is not None:
            read, written = delta.usage.prompt_tokens - delta.usage.cached_tokens, delta.usage.completion_tokens
    return read, written, first - start, time.perf_counter() - start


def _loaded(runtime: str, path: str, threads: str) -> Runtime:
    from appliance.inference.registry import LoadRequest, runtime_spec

    model = Model("measured", "language", path, "", 0, "", _CONTEXT_TOKENS, "", active=False)
    return runtime_spec(runtime).load(LoadRequest(model, Path(path), _CONTEXT_TOKENS, int(threads)))


def _peak_mb() -> int:
    """The most memory this process has had, in megabytes of 1,000,000 bytes.

    Not `ru_maxrss`: that outlives exec, and says what the process had that started this one.
    """
    status = Path("/proc/self/status").read_text("ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1_024 // 1_000_000


def build_embedder(weights: str, tokenizer: str, target: str, levels: str) -> dict[str, Any]:
    """Build the embedding graph and compare it with the exact computation on this processor."""
    from appliance.inference.cores import available_cores
    from appliance.inference.embedder import open_embedder
    from appliance.inference.embedding_graph import build_embedding_graph
    from appliance.inference.embedding_reference import embed_exactly, load_weights

    build_embedding_graph(Path(weights), Path(target), levels=int(levels))
    draft = Model("draft", "embedding", target, "", 0, "ONNX int8", 256, "", active=False)
    embedder = open_embedder(draft, Path(target), Path(tokenizer), threads=available_cores())
    exact = load_weights(Path(weights))
    vectors = embedder.embed(PROBES)
    cosines = [
        float(vector @ embed_exactly(exact, embedder.token_ids(text))) for vector, text in zip(vectors, PROBES, strict=True)
    ]
    chunk = " ".join(PROBES * 3)
    start = time.perf_counter()
    embedder.embed([chunk] * 16)
    elapsed = time.perf_counter() - start
    tokens = 16 * embedder.count_tokens(chunk)
    return {"cosine_to_float32": round(min(cosines), 4), "tokens_per_s": round(tokens / elapsed, 1)}


def try_embedder(path: str, context_tokens: str, pooling: str) -> dict[str, Any]:
    """Run an imported embedding model once: the form of its vectors, the cosine of those least alike, and its speed."""
    import numpy as np

    from appliance.inference.cores import available_cores
    from appliance.inference.embedder import open_imported
    from appliance.inference.store.embedding_form import EmbeddingForm

    draft = Model("that comes in", "embedding", path, "", 0, "", int(context_tokens), "", active=False)
    try:
        embedder = open_imported(draft, Path(path), available_cores(), EmbeddingForm(pooling))
        whole = " ".join(PROBES * 3)
        vectors = embedder.embed([*PROBES, whole])
        start = time.perf_counter()
        embedder.embed([whole] * 4)
        elapsed = time.perf_counter() - start
    except ApplianceError:
        raise
    except Exception as error:  # whatever the library says of a graph or a tokenizer that it cannot use
        raise SetupError(f"This embedding model does not run here: {str(error)[:200]}", code="model.not_embedder") from error
    lengths = np.linalg.norm(vectors, axis=1)
    tokens = 4 * min(embedder.count_tokens(whole), embedder.max_tokens)
    return {
        "dimensions": embedder.dimensions,
        "length": float(lengths[np.argmax(np.abs(lengths - 1))]) if np.isfinite(lengths).all() else 0.0,
        "likeness": float((vectors @ vectors.T).min()),
        "tokens_per_s": round(tokens / elapsed, 1),
    }


def try_gguf(path: str) -> dict[str, Any]:
    """Load a language model and read one token; a file that the library refuses is told apart from one that crashes it."""
    try:
        from appliance.inference.cores import available_cores
        from appliance.inference.llamacpp.native import NativeModel
        from appliance.inference.llamacpp.room import require_free_memory

        require_free_memory(Path(path), "that comes in")
        model = NativeModel(Path(path), context_tokens=_TRIED_TOKENS, threads=available_cores())
        model.decode([0])
        model.close()
    except (ApplianceError, ImportError) as error:  # another runtime may take it, or this one once there is room
        return {"refused": str(error)}
    return {"refused": ""}


def main(arguments: list[str]) -> int:
    """Run one step by name, for the process that started us; errors people can act on are printed as JSON."""
    steps: dict[str, Callable[..., dict[str, Any]]] = {
        "requantise": requantise,
        "measure": measure,
        "four_at_once": four_at_once,
        "quality": quality,
        "write_folder": write_folder,
        "build_embedder": build_embedder,
        "try_embedder": try_embedder,
        "try_gguf": try_gguf,
    }
    parent, nice, name, *given = arguments
    die_with_parent(int(parent))
    os.nice(int(nice))
    try:
        silence()
        answer = steps[name](*given)
    except ApplianceError as error:
        answer = {"error": error.sentence, "code": error.stable_code}
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
