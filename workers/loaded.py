"""Tells whoever asks what this process has loaded: at its start and every few seconds."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import structlog

from appliance.inference.hardware.neural import execution_providers
from appliance.inference.loaded_report import report_loaded
from appliance.inference.placement import LoadedRuntime

PERIOD_S = 10.0
"""Some runtimes are asked over a connection."""

log = structlog.get_logger(__name__)


class Loaded:
    """Reports of one process."""

    def __init__(
        self,
        run_dir: Path,
        process: str,
        loaded: Callable[[], list[LoadedRuntime]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._run_dir, self._process, self._loaded, self._clock = run_dir, process, loaded, clock
        self._due = clock()
        self._providers: tuple[str, ...] | None = None

    def report(self) -> bool:
        """Where it is time; whether a report was left. A full disk disturbs nothing."""
        if self._clock() < self._due:
            return False
        self._due = self._clock() + PERIOD_S
        if self._providers is None:
            self._providers = execution_providers() if find_spec("onnxruntime") else ()
        try:
            report_loaded(self._run_dir, self._process, self._loaded(), self._providers)
        except OSError as error:
            log.warning("loaded.unreported", reason=type(error).__name__)
            return False
        return True
