"""Neural processors, by the kernel's class of accelerators, and what ONNX Runtime could run on."""

from __future__ import annotations

from pathlib import Path

from appliance.inference.hardware.models import Accelerator

_NAMES = {"intel_vpu": "Intel neural processor", "amdxdna": "AMD neural processor", "rknpu": "Rockchip neural processor"}


def neural_processors(root: Path) -> list[Accelerator]:
    """Each below /sys/class/accel (Linux: Documentation/accel/introduction.rst); they compute in the box's memory."""
    found: list[Accelerator] = []
    for folder in sorted((root / "sys/class/accel").glob("accel*")):
        uevent = folder / "device/uevent"
        lines = uevent.read_text().splitlines() if uevent.exists() else []
        driver = next((line.partition("=")[2] for line in lines if line.startswith("DRIVER=")), "")
        name = _NAMES.get(driver, f"accelerator ({driver or 'unknown driver'})")
        found.append(Accelerator(f"npu:{len(found)}", "npu", name, shares_memory=True))
    nodes = sorted((root / "dev/accel").glob("accel*"))
    if nodes and not found:
        raise LookupError(f"{nodes[0].name} is there, but the kernel does not say what it is")
    return found


def execution_providers() -> tuple[str, ...]:
    """What the installed ONNX Runtime was built to run on. Loads it, so telemetry must have been silenced before."""
    import onnxruntime

    return tuple(onnxruntime.get_available_providers())
