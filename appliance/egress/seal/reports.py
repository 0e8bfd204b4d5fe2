"""What each process found out about its own layers, left as a file in the run directory for whoever asks.

A file and not a key of Redis: Redis has layers, too, and may be away. Whoever runs the processes also leaves there which network
is the outside, so that a process can tell whether it is in another.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec

from appliance.egress.seal.confinement import Confinement, fasten
from appliance.egress.seal.layers import (
    GATE,
    OLLAMA,
    OPEN_BY_NATURE,
    OUTSIDE_BY_NATURE,
    Layer,
    Strength,
    measure,
    measure_gate,
    measure_ollama,
    network_namespace,
    strength,
)
from appliance.storage.clock import now_ms

_DIRECTORY = "seal"
_OUTSIDE = "outside"
LOADED = "loaded"
"""Where processes leave what they have loaded (appliance.inference.loaded_report)."""
_Any = TypeVar("_Any")


class _ByProcess(Protocol):
    """A report that says whose it is."""

    @property
    def pid(self) -> int: ...

    @property
    def pid_namespace(self) -> int: ...


_Told = TypeVar("_Told", bound=_ByProcess)


class Report(msgspec.Struct, frozen=True):
    """The layers of one process as it found them. `reason` says why it was started with fewer, empty where it was not."""

    process: str
    pid: int
    pid_namespace: int
    measured_ms: int
    strength: Strength
    layers: list[Layer]
    reason: str = ""

    @property
    def outside(self) -> bool:
        """Whether it has a network by nature, and is none of the sealed."""
        return self.process in OUTSIDE_BY_NATURE

    @property
    def missing(self) -> list[Layer]:
        """What should hold and does not."""
        open_by_nature = OPEN_BY_NATURE if self.outside else frozenset()
        return [layer for layer in self.layers if not layer.held and layer.name not in open_by_nature]


class _Outside(msgspec.Struct):
    network_namespace: int
    reasons: dict[str, str]


def note_outside(run_dir: Path, reasons: dict[str, str]) -> None:
    """Leave word of the network we are in ourselves, and why processes are started with fewer layers (by name, "" for all)."""
    try:
        inode = network_namespace()
    except OSError:
        inode = 0  # without /proc nothing can be told apart; the layers say so
    _write(run_dir, _OUTSIDE, _Outside(inode, reasons))


def report_own(run_dir: Path, process: str) -> Report:
    """Measure the calling process and leave the report."""
    outside = _read(run_dir / _DIRECTORY / f"{_OUTSIDE}.json", _Outside)
    layers = _measured(process, outside.network_namespace if outside else None)
    reasons = outside.reasons if outside else {}
    reason = reasons.get(process) or OUTSIDE_BY_NATURE.get(process) or reasons.get("", "")
    # for a process that can call, no filter counts as a seal
    worth = Strength.NONE if process == GATE else strength(layers)
    report = Report(process, os.getpid(), pid_namespace(), now_ms(), worth, layers, reason)
    _write(run_dir, process, report)
    return report


def own_strength(run_dir: Path) -> Strength:
    """What the seal of the calling process is worth, measured now."""
    outside = _read(run_dir / _DIRECTORY / f"{_OUTSIDE}.json", _Outside)
    return strength(measure(outside.network_namespace if outside else None))


def confine_own(run_dir: Path, process: str, confinement: Confinement) -> Report:
    """For a process whose supervisor may be another than ours (docker/compose.yaml): close all layers, then report.

    Where our supervisor closed them before the program started, they stay as they are. What a report says of us is not asked:
    others may write there.
    """
    if not all(_held(_measured(process))):
        fasten(confinement, None)
    return report_own(run_dir, process)


def read_reports(run_dir: Path) -> list[Report]:
    """Reports of the processes that run now, by name; those of processes elsewhere (containers) as they left them."""
    return left(run_dir, _DIRECTORY, Report)


def left(run_dir: Path, directory: str, kind: type[_Told]) -> list[_Told]:
    """What processes that run now left in this directory, by name; of processes elsewhere (containers) what they left."""
    files = sorted((run_dir / directory).glob("*.json"))
    found = [_read(file, kind) for file in files if file.stem != _OUTSIDE]
    here = pid_namespace()
    return [each for each in found if each and (each.pid_namespace != here or Path(f"/proc/{each.pid}").exists())]


def forget_reports(run_dir: Path) -> None:
    """For start and end: what stands there was told by processes that are gone."""
    for directory in (_DIRECTORY, LOADED):
        shutil.rmtree(run_dir / directory, ignore_errors=True)


def _measured(process: str, outside: int | None = None) -> list[Layer]:
    return {GATE: measure_gate, OLLAMA: measure_ollama}.get(process, measure)(outside)


def _held(layers: list[Layer]) -> list[bool]:
    return [layer.held for layer in layers]


def pid_namespace() -> int:
    """The inode that names it, 0 where it is hidden: ids of processes mean something only within one."""
    try:
        return Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        return 0


def _read(file: Path, kind: type[_Any]) -> _Any | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError):
        return None


def _write(run_dir: Path, name: str, content: msgspec.Struct) -> None:
    leave(run_dir, _DIRECTORY, name, content)


def leave(run_dir: Path, place: str, name: str, content: msgspec.Struct) -> None:
    """Put it where `left` finds it, as a whole or not at all. Raises `OSError`."""
    directory = run_dir / place
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    file, new = directory / f"{name}.json", directory / f".{name}.{os.getpid()}"
    new.write_bytes(msgspec.json.encode(content))
    new.replace(file)
