"""Whether this box has the memory for a model, asked before the model is loaded."""

from __future__ import annotations

from pathlib import Path

from appliance.errors import Unavailable

_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")
_UNLIMITED = 1 << 60


def require_room(path: Path) -> None:
    """Raise `Unavailable` (`inference.load_failed`) where the weights alone are larger than the memory that is free.

    Without this the kernel would end a process, and not necessarily this one.
    """
    needed, free = path.stat().st_size, free_bytes()
    if needed > free:
        raise Unavailable(
            f"The language model {path.name} needs {needed // 1_000_000} MB of memory, and {free // 1_000_000} MB are free.",
            code="inference.load_failed",
            needed_bytes=needed,
            free_bytes=free,
        )


def free_bytes() -> int:
    """Memory that this process may still take: the machine's, or its control group's where that is less."""
    return min(_machine(), _control_group())


def _machine() -> int:
    for line in _lines(_MEMINFO):
        name, _, rest = line.partition(":")
        if name == "MemAvailable":
            return int(rest.split()[0]) * 1024
    return _UNLIMITED


def _control_group() -> int:
    limit, used = _number(_CGROUP / "memory.max"), _number(_CGROUP / "memory.current")
    return _UNLIMITED if limit is None or used is None else max(0, limit - used)


def _number(path: Path) -> int | None:
    text = "".join(_lines(path))
    return int(text) if text.isdigit() else None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
