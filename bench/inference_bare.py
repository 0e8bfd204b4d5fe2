"""What the library itself gains from steps of eight tokens and of many: no engine above it can gain more."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

from appliance.inference.cores import available_cores
from appliance.inference.llamacpp.native import NativeModel

PROMPT, READ, STEPS = 300, 256, 12


def library_ceiling(weights: Path, context: int, sequences: int, rounds: int) -> dict[str, dict[str, float]]:
    """Tokens per second of `sequences` that each hold 300 tokens, one token a step, against one of them; and of reading.

    Every row of a step goes through the same weights, so reading in steps of 256 bounds what any number of writers can reach.
    """
    native = NativeModel(weights, context_tokens=context, threads=available_cores(), sequences=sequences, outputs=64)
    places = [PROMPT] * sequences
    try:
        reading = []
        for sequence in range(sequences):
            for start in range(0, PROMPT, READ):
                count = min(READ, PROMPT - start)
                spent = _step(native, {sequence: [1_000 + (7 * sequence + at) % 500 for at in range(count)]}, {sequence: start})
                if count == READ:
                    reading.append(READ / spent)
        one, every = [], []
        for _ in range(rounds):
            for writers, speeds in ((range(1), one), (range(sequences), every)):
                spent = []
                for _ in range(STEPS):
                    spent.append(_step(native, {number: [2_000] for number in writers}, dict(enumerate(places))))
                    for number in writers:
                        places[number] += 1
                speeds.append(len(writers) / statistics.median(spent))
    finally:
        native.close()
    speeds = {"one": statistics.median(one), "eight": statistics.median(every), "reading": statistics.median(reading)}
    ratios = {"writing_of_one": speeds["eight"] / speeds["one"], "reading_of_one": speeds["reading"] / speeds["one"]}
    return {"library": {name: round(value, 2) for name, value in (speeds | ratios).items()}}


def _step(native: NativeModel, tokens: dict[int, list[int]], starts: dict[int, int]) -> float:
    native.batch.clear()
    for sequence, own in tokens.items():
        native.batch.add(sequence, own, starts[sequence], outputs=1)
    began = time.perf_counter()
    native.decode_batch()
    return time.perf_counter() - began
