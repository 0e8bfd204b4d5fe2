"""Graphics processors: NVIDIA's by their own library, the others by what the kernel shows of them."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

from appliance.inference.hardware.models import MB, Accelerator

_NVIDIA, _AMD, _INTEL = "0x10de", "0x1002", "0x8086"
CARDS_IN_ORDER = MappingProxyType({"CUDA_DEVICE_ORDER": "PCI_BUS_ID"})
"""For the environment of what computes through CUDA, before it is loaded: it counts cards by speed otherwise, and NVML, whose
numbers are used here, by their place on the bus."""

_CARD = re.compile(r"card\d+")


def nvidia(root: Path) -> list[Accelerator]:
    """Asks NVML, where nvidia-ml-py is installed and a driver is loaded.

    Raises `LookupError` where there is a card that cannot be asked, and what the library raises.
    """
    cards = [folder for folder in _cards(root) if _text(folder / "device/vendor") == _NVIDIA]
    if not cards and not (root / "proc/driver/nvidia").exists():
        return []
    if find_spec("pynvml") is None:
        raise LookupError("there is an NVIDIA card, but nvidia-ml-py is not installed to ask for its memory")
    import pynvml

    pynvml.nvmlInit()
    try:
        return [_asked(pynvml.nvmlDeviceGetHandleByIndex(number), number) for number in range(pynvml.nvmlDeviceGetCount())]
    finally:
        pynvml.nvmlShutdown()


def _asked(handle: object, number: int) -> Accelerator:
    import pynvml

    device, name = f"cuda:{number}", str(pynvml.nvmlDeviceGetName(handle))
    try:
        held = pynvml.nvmlDeviceGetMemoryInfo(handle)
    except pynvml.NVMLError as error:
        if error.value != pynvml.NVML_ERROR_NOT_SUPPORTED:
            raise
        return Accelerator(device, name, shares_memory=True)  # one chip with the processor has no memory of its own
    return Accelerator(device, name, held.total // MB, held.free // MB)


def amd(root: Path) -> list[Accelerator]:
    """The amdgpu driver shows memory of each card (Linux: Documentation/gpu/amdgpu/driver-misc.rst)."""
    found: list[Accelerator] = []
    for folder in (card / "device" for card in _cards(root)):
        if _text(folder / "vendor") != _AMD:
            continue
        total = int(_text(folder / "mem_info_vram_total") or 0)
        free = total - int(_text(folder / "mem_info_vram_used") or 0)
        name = _text(folder / "product_name") or f"AMD graphics {_text(folder / 'device')}"
        found.append(Accelerator(f"rocm:{len(found)}", name, total // MB, free // MB))
    return found


def intel(root: Path) -> list[Accelerator]:
    """Built-in graphics sit at slot 2 of the first bus and use the box's memory; the memory of a card is not shown to us."""
    found: list[Accelerator] = []
    for folder in (card / "device" for card in _cards(root)):
        if _text(folder / "vendor") != _INTEL:
            continue
        built_in = "PCI_SLOT_NAME=0000:00:02." in _text(folder / "uevent")
        name = f"Intel graphics {_text(folder / 'device')}{' (built in)' if built_in else ''}"
        found.append(Accelerator(f"xpu:{len(found)}", name, shares_memory=built_in))
    return found


def apple(_: Path) -> list[Accelerator]:
    """Apple's own processors carry one, and it shares their memory."""
    if (platform.system(), platform.machine()) != ("Darwin", "arm64"):
        return []
    return [Accelerator("metal:0", "Apple graphics", shares_memory=True)]


def _cards(root: Path) -> Iterator[Path]:
    """The cards of the direct rendering manager, not their connectors ("card0-HDMI-A-1")."""
    yield from sorted(folder for folder in (root / "sys/class/drm").glob("card*") if _CARD.fullmatch(folder.name))


def _text(file: Path) -> str:
    return file.read_text().strip() if file.exists() else ""
