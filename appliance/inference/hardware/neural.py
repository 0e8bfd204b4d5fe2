"""Neural processors, by the kernel's class of accelerators, and what ONNX Runtime could run on."""

from __future__ import annotations

from pathlib import Path

from appliance.inference.devices import DeviceKind
from appliance.inference.hardware.models import Accelerator

_DRIVERS = {
    "intel_vpu": (DeviceKind.INTEL_NPU, "Intel neural processor"),
    "amdxdna": (DeviceKind.AMD_NPU, "AMD neural processor"),
    "rknpu": (DeviceKind.OTHER_NPU, "Rockchip neural processor"),
}


def neural_processors(root: Path) -> list[Accelerator]:
    """Each below /sys/class/accel (Linux: Documentation/accel/introduction.rst); they compute in the box's memory.

    Qualcomm's is no device of that class: its driver (Linux: drivers/misc/fastrpc.c) opens a way to the signal processor.
    """
    found: list[Accelerator] = []

    def add(kind: DeviceKind, name: str) -> None:
        number = sum(other.kind is kind for other in found)
        found.append(Accelerator(f"{kind}:{number}", name, shares_memory=True))

    for folder in sorted((root / "sys/class/accel").glob("accel*")):
        uevent = folder / "device/uevent"
        lines = uevent.read_text().splitlines() if uevent.exists() else []
        driver = next((line.partition("=")[2] for line in lines if line.startswith("DRIVER=")), "")
        add(*_DRIVERS.get(driver, (DeviceKind.OTHER_NPU, f"accelerator ({driver or 'unknown driver'})")))
    if any((root / "dev" / node).exists() for node in ("fastrpc-cdsp", "fastrpc-cdsp-secure")):
        add(DeviceKind.QUALCOMM_NPU, "Qualcomm neural processor")
    nodes = sorted((root / "dev/accel").glob("accel*"))
    if nodes and not found:
        raise LookupError(f"{nodes[0].name} is there, but the kernel does not say what it is")
    return found


def execution_providers() -> tuple[str, ...]:
    """What the installed ONNX Runtime was built to run on. Loads it, so telemetry must have been silenced before."""
    import onnxruntime

    return tuple(onnxruntime.get_available_providers())
