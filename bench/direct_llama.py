"""The same prompt given straight to llama.cpp, without any of our code around it: what the answer benchmark compares with.

As a program it reads the arguments of `direct` as JSON from standard input, so that the baseline runs in a process of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent


def direct(
    path: Path, tokens: Sequence[int], *, max_tokens: int, context_tokens: int, threads: int, rounds: int = 3
) -> dict[str, float]:
    """Median `first_token_s` and `decode_tokens_per_s` of greedy answers; nothing is reused between rounds."""
    order = {
        "path": str(path),
        "tokens": list(tokens),
        "max_tokens": max_tokens,
        "context_tokens": context_tokens,
        "threads": threads,
        "rounds": rounds,
    }
    done = subprocess.run(
        [sys.executable, "-m", "bench.direct_llama"],
        cwd=ROOT,
        input=json.dumps(order),
        capture_output=True,
        text=True,
        check=True,
    )
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def main() -> None:
    from llama_cpp import Llama

    order = json.load(sys.stdin)
    model = Llama(
        order["path"],
        n_ctx=order["context_tokens"],
        n_threads=order["threads"],
        n_threads_batch=order["threads"],
        flash_attn=True,
        verbose=False,
    )
    first, rate = [], []
    for _ in range(order["rounds"]):
        model.reset()
        start = time.perf_counter()
        stamps = []
        for number, token in enumerate(model.generate(order["tokens"], temp=0.0, repeat_penalty=1.0), start=1):
            stamps.append(time.perf_counter())
            if number == order["max_tokens"] or token == model.token_eos():
                break
        first.append(stamps[0] - start)
        if len(stamps) > 1:
            rate.append((len(stamps) - 1) / (stamps[-1] - stamps[0]))
    json.dump({"first_token_s": round(median(first), 4), "decode_tokens_per_s": round(median(rate or [0.0]), 2)}, sys.stdout)


if __name__ == "__main__":
    main()
