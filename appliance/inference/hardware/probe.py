"""Look at the box. Any single look may fail; the result says so and holds what the others found."""

from __future__ import annotations

import platform
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

from appliance.inference.hardware import control_groups, graphics, neural
from appliance.inference.hardware.memory import memory
from appliance.inference.hardware.models import MB, Accelerator, Hardware
from appliance.inference.hardware.processor import Processor, processor, usable_cores

T = TypeVar("T")

_ACCELERATORS: tuple[tuple[str, Callable[[Path], list[Accelerator]]], ...] = (
    ("NVIDIA cards", graphics.nvidia),
    ("AMD cards", graphics.amd),
    ("Intel graphics", graphics.intel),
    ("Apple graphics", graphics.apple),
    ("Neural processors", neural.neural_processors),
)


def probe_hardware(root: Path = Path("/"), *, ask_libraries: bool = False) -> Hardware:
    """The box as it is now. `root` is where /proc, /sys and /dev lie.

    `ask_libraries` loads ONNX Runtime to ask for its execution providers, which takes tens of megabytes.
    """
    looks = _Looks()
    quota = looks.at("The processor quota", lambda: control_groups.cpu_quota(root), None)
    limit = looks.at("The memory limit", lambda: control_groups.memory_limit(root), None)
    found = looks.at("The processor", lambda: processor(root), Processor("", platform.machine(), ()))
    total, available = looks.at("The memory", lambda: memory(root), (0, 0))
    if limit is not None:
        total = min(total, limit.limit)
        available = min(available, max(limit.limit - limit.used, 0))
    accelerators: list[Accelerator] = []
    for name, look in _ACCELERATORS:
        accelerators += looks.at(name, partial(look, root), [])
    providers: tuple[str, ...] = ()
    if ask_libraries and find_spec("onnxruntime") is not None:
        providers = looks.at("The execution providers", neural.execution_providers, ())
    return Hardware(
        processor=found.name,
        architecture=found.architecture,
        features=found.features,
        cores=usable_cores(quota),
        cpu_quota=quota,
        memory_total_mb=total // MB,
        memory_available_mb=available // MB,
        memory_limit_mb=None if limit is None else limit.limit // MB,
        accelerators=tuple(accelerators),
        providers=providers,
        remarks=tuple(looks.remarks),
    )


class _Looks:
    """Collects what could not be seen."""

    def __init__(self) -> None:
        self.remarks: list[str] = []

    def at(self, name: str, look: Callable[[], T], otherwise: T) -> T:
        try:
            return look()
        except Exception as error:  # noqa: BLE001 - drivers and their libraries fail in ways of their own; told in the result
            self.remarks.append(f"{name} could not be looked at: {error or type(error).__name__}.")
            return otherwise
