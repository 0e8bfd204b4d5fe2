"""How much memory there is and how much of it is free, in bytes."""

from __future__ import annotations

import os
from pathlib import Path


def memory(root: Path) -> tuple[int, int]:
    """Total and available. Raises `OSError` or `ValueError` where the system does not say."""
    file = root / "proc/meminfo"
    if not file.exists() and hasattr(os, "sysconf") and root == Path("/"):
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")  # not Linux: how much is free is not told
        return total, total
    sizes = {line.partition(":")[0]: int(line.split()[1]) * 1_024 for line in file.read_text().splitlines() if "kB" in line}
    if "MemTotal" not in sizes:
        raise ValueError("/proc/meminfo names no total")
    # MemAvailable counts what the kernel would give back; kernels before 3.14 do not have it
    return sizes["MemTotal"], sizes.get("MemAvailable", sizes.get("MemFree", 0))
