"""What a process has loaded and where that computes, left beside its report of the seal for whoever asks."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from appliance.egress.seal.reports import LOADED, leave, left, pid_namespace
from appliance.inference.placement import LoadedRuntime
from appliance.storage.clock import now_ms


class LoadedReport(msgspec.Struct, frozen=True):
    """`providers` are the execution providers of the ONNX Runtime that this process has."""

    process: str
    pid: int
    pid_namespace: int
    measured_ms: int
    runtimes: list[LoadedRuntime]
    providers: list[str]


def report_loaded(run_dir: Path, process: str, runtimes: list[LoadedRuntime], providers: tuple[str, ...]) -> None:
    """Leave what the calling process has loaded. Raises `OSError`."""
    report = LoadedReport(process, os.getpid(), pid_namespace(), now_ms(), runtimes, list(providers))
    leave(run_dir, LOADED, process, report)


def read_loaded(run_dir: Path) -> list[LoadedReport]:
    """Of the processes that run now, by name."""
    return left(run_dir, LOADED, LoadedReport)
