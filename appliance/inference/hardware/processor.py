"""The processor: its name, what it can, how many cores this process may use."""

from __future__ import annotations

import math
import os
import platform
from pathlib import Path
from typing import NamedTuple

_X86 = {"sse4_2", "avx", "f16c", "fma", "avx2", "avx_vnni"}
_X86_WIDE = {"avx512f", "avx512vbmi", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_int8", "amx_bf16"}
_ARM = {"asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "sve2", "sme"}
FEATURES = frozenset(_X86 | _X86_WIDE | _ARM)
"""What the kernels of the inference libraries look for; the kernel lists many more."""


class Processor(NamedTuple):
    name: str
    architecture: str
    features: tuple[str, ...]


def processor(root: Path) -> Processor:
    """Read off /proc/cpuinfo, whose first processor stands for all. Raises `OSError` where there is none."""
    lines: dict[str, str] = {}
    for line in (root / "proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        lines.setdefault(key.strip(), value.strip())
    flags = (lines.get("flags") or lines.get("Features") or "").split()  # x86 and ARM call them differently
    name = lines.get("model name") or lines.get("Model") or lines.get("Hardware") or platform.machine()
    return Processor(name, platform.machine(), tuple(flag for flag in dict.fromkeys(flags) if flag in FEATURES))


def usable_cores(quota: float | None) -> int:
    """Cores this process may run on: those it is bound to, and no more than its control group lets it keep busy."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return bound if quota is None else max(1, min(bound, math.ceil(quota)))
