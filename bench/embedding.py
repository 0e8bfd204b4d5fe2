"""Embedding of the same chunks: our embedder, bare ONNX Runtime on ready-made batches, and llama.cpp.

Targets, for the whole ingest path: at least 0.8 of bare ONNX Runtime and 8 x llama.cpp. The embedder alone must leave room for
parsing and indexing.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from appliance.inference.cores import available_cores
from appliance.inference.embedder import Embedder, load_embedder
from appliance.inference.store import ModelStore
from tests.bert_samples import minilm_gguf

ROOT = Path(__file__).resolve().parent.parent
MODELS = ROOT / ".models"
BATCH = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    threads = available_cores()
    embedder = load_embedder(ModelStore(MODELS), threads=threads)
    texts = _chunks(embedder, given.chunks)
    with tempfile.TemporaryDirectory() as directory:
        native, close = _llama(minilm_gguf(Path(directory) / "minilm.gguf"), threads, texts)
        ways: dict[str, Callable[[], Any]] = {
            "embedder": lambda: embedder.embed(texts),
            "onnxruntime": bare(embedder, texts),
            "llama_cpp": native,
        }
        # rounds are interleaved, so that a busy moment of the machine hits all alike
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(given.rounds):
            for name, run in ways.items():
                start = time.perf_counter()
                run()
                seconds[name].append(time.perf_counter() - start)
        agreement = float((embedder.embed(texts[:8]) * native()[:8]).sum(axis=1).min())
        close()
    rates = {name: len(texts) / min(times) for name, times in seconds.items()}
    question = _latency(lambda: embedder.embed(["How long may perishable goods stay in the loading bay?"]))
    result = {
        "bench": "embedding",
        "chunks": len(texts),
        "chunks_per_s": {name: round(rate, 1) for name, rate in rates.items()},
        "embedder_of_onnxruntime": round(rates["embedder"] / rates["onnxruntime"], 3),
        "embedder_of_llama_cpp": round(rates["embedder"] / rates["llama_cpp"], 2),
        "lowest_cosine_to_llama_cpp": round(agreement, 4),
        "question_ms": round(question * 1000, 2),
    }
    print(json.dumps(result))


def _chunks(embedder: Embedder, count: int) -> list[str]:
    """Chunks of 160 tokens, as documents make them."""
    from appliance.inference.preparation_steps import PROBES

    words = " ".join(PROBES)
    text = " ".join(f"{number}. {words}" for number in range(count * 3))
    spans = embedder.token_spans(text)
    starts = range(0, len(spans) - 160, 160)
    return [text[spans[start][0] : spans[start + 159][1]] for start in starts][:count]


def bare(embedder: Embedder, texts: list[str]) -> Callable[[], Any]:
    """ONNX Runtime alone on batches that were made beforehand."""
    rows = sorted((embedder.token_ids(text) for text in texts), key=len)
    batches = []
    for start in range(0, len(rows), BATCH):
        members = rows[start : start + BATCH]
        tokens = np.zeros((len(members), max(map(len, members))), np.int64)
        for index, row in enumerate(members):
            tokens[index, : len(row)] = row
        batches.append({"input_ids": tokens, "attention_mask": (tokens != 0).astype(np.int64)})
    session = embedder._session  # noqa: SLF001 - the same session, without what we put around it
    return lambda: [session.run(["embedding"], batch) for batch in batches]


def _llama(path: Path, threads: int, texts: list[str]) -> tuple[Callable[[], Any], Callable[[], None]]:
    from llama_cpp import Llama

    model = Llama(
        str(path),
        embedding=True,
        n_ctx=2048,
        n_batch=2048,
        n_ubatch=2048,
        n_threads=threads,
        n_threads_batch=threads,
        verbose=False,
    )
    return lambda: np.array(model.embed(texts, normalize=True)), model.close


def _latency(run: Callable[[], Any]) -> float:
    """Median seconds of a short call."""
    times = []
    for _ in range(30):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return sorted(times)[len(times) // 2]


if __name__ == "__main__":
    main()
