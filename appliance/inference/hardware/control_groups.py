"""What the control groups of this process allow it, version 1 and 2.

Files and formats: Linux, Documentation/admin-guide/cgroup-v1 and Documentation/admin-guide/cgroup-v2.rst.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_NO_LIMIT_BYTES = 1 << 60
"""Version 1 writes "no limit" as the largest multiple of a page; nothing real is this large."""


class MemoryLimit(NamedTuple):
    """Bytes. `used` leaves out file pages that the kernel would give back."""

    limit: int
    used: int


class _Mount(NamedTuple):
    """A mounted hierarchy: the part of it that is mounted, where, and its controllers (empty: version 2)."""

    inside: str
    point: Path
    controllers: frozenset[str]


def cpu_quota(root: Path) -> float | None:
    """Cores that may be kept busy, the smallest quota on the way up; None without any. Raises `OSError` without /proc."""
    quotas = [quota for folder in _folders(root, "cpu") if (quota := _quota(folder)) is not None]
    return min(quotas, default=None)


def memory_limit(root: Path) -> MemoryLimit | None:
    """The limit that leaves least room, None without any. Raises `OSError` without /proc."""
    limits = [limit for folder in _folders(root, "memory") if (limit := _limit(folder)) is not None]
    return min(limits, key=lambda found: found.limit - found.used, default=None)


def _folders(root: Path, controller: str) -> Iterator[Path]:
    """The folder of this process in the hierarchy of `controller`, then its parents as far as they are mounted."""
    own = {}
    for line in (root / "proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        own[frozenset(filter(None, controllers.split(",")))] = path
    for mount in _mounts(root):
        if mount.controllers and controller not in mount.controllers:
            continue
        belongs = [path for names, path in own.items() if (controller in names if mount.controllers else not names)]
        if not belongs:
            continue
        path = belongs[0]
        inner = Path(path).relative_to(mount.inside) if Path(path).is_relative_to(mount.inside) else Path()
        folder = mount.point / str(inner).lstrip("/")
        # a process in a namespace of its own may name a path that is not mounted here: then the mount itself is its group
        folder = folder if folder.is_dir() else mount.point
        yield from (place for place in (folder, *folder.parents) if place.is_relative_to(mount.point))


def _mounts(root: Path) -> Iterator[_Mount]:
    for line in (root / "proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        inside, point = before.split()[3:5]
        place = root / point.lstrip("/")
        if kind == "cgroup2":
            yield _Mount(inside, place, frozenset())
        elif kind == "cgroup":
            yield _Mount(inside, place, frozenset(options.split(",")))


def _quota(folder: Path) -> float | None:
    two, one = folder / "cpu.max", folder / "cpu.cfs_quota_us"
    if two.exists():
        quota, period = two.read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    if one.exists():
        microseconds = int(one.read_text())
        return None if microseconds < 0 else microseconds / int((folder / "cpu.cfs_period_us").read_text())
    return None


def _limit(folder: Path) -> MemoryLimit | None:
    for limit_file, used_file, cached in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        if not (folder / limit_file).exists():
            continue
        text = (folder / limit_file).read_text().strip()
        if text == "max" or int(text) >= _NO_LIMIT_BYTES:
            return None
        used = int((folder / used_file).read_text()) - _statistic(folder / "memory.stat", cached)
        return MemoryLimit(int(text), max(used, 0))
    return None


def _statistic(file: Path, name: str) -> int:
    if not file.exists():
        return 0
    found = dict(line.split(" ", 1) for line in file.read_text().splitlines())
    return int(found.get(name, 0))
