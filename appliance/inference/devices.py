"""The one vocabulary of devices: what a box may compute with, and which library of a runtime's build drives it.

Policy, probe and selection speak of kinds ("rocm") and of single devices ("rocm:0"). What a runtime was built with is a library
("hip"): it is no device, but says which kinds the runtime can drive.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType


class DeviceKind(StrEnum):
    """Whose device, as far as the system tells, the fastest first as a rule; the value is the name in policies and answers."""

    CUDA = "cuda"  # NVIDIA's cards
    ROCM = "rocm"  # AMD's graphics
    METAL = "metal"  # Apple's graphics
    XPU = "xpu"  # Intel's graphics
    INTEL_NPU = "intel_npu"
    AMD_NPU = "amd_npu"
    QUALCOMM_NPU = "qualcomm_npu"
    OTHER_NPU = "other_npu"  # seen, but no library here drives it
    CPU = "cpu"


SPEED = tuple(DeviceKind)
SOME_GRAPHICS = "gpu"
"""No kind: what a server says that computes on a graphics processor and does not say on which. Nothing is chosen by it."""
NEURAL = frozenset({DeviceKind.INTEL_NPU, DeviceKind.AMD_NPU, DeviceKind.QUALCOMM_NPU, DeviceKind.OTHER_NPU})
GRAPHICS = frozenset(DeviceKind) - NEURAL - {DeviceKind.CPU}

LIBRARIES: Mapping[str, frozenset[DeviceKind]] = MappingProxyType(
    {
        "cpu": frozenset({DeviceKind.CPU}),
        "cuda": frozenset({DeviceKind.CUDA}),
        "hip": frozenset({DeviceKind.ROCM}),
        "metal": frozenset({DeviceKind.METAL}),
        "sycl": frozenset({DeviceKind.XPU}),
        "openvino": frozenset({DeviceKind.XPU, DeviceKind.INTEL_NPU}),
        "ryzenai": frozenset({DeviceKind.AMD_NPU}),
        "qnn": frozenset({DeviceKind.QUALCOMM_NPU}),
        "vulkan": frozenset({DeviceKind.CUDA, DeviceKind.ROCM, DeviceKind.XPU}),
        "dml": frozenset({DeviceKind.CUDA, DeviceKind.ROCM, DeviceKind.XPU}),
        "webgpu": frozenset({DeviceKind.CUDA, DeviceKind.ROCM, DeviceKind.METAL, DeviceKind.XPU}),
    }
)
"""What each library drives. A maker's own stand first: where a build has several for one device, the first is used."""


def kind_of(device: str) -> DeviceKind:
    """Of "rocm:0" or "rocm". Raises `ValueError` for what is no device of this vocabulary."""
    return DeviceKind(device.partition(":")[0])


def library_for(kind: DeviceKind, libraries: Iterable[str]) -> str | None:
    """Which of a build's `libraries` drives a device of this kind, None where none does; unknown ones drive nothing."""
    built = frozenset(libraries)
    return next((name for name, kinds in LIBRARIES.items() if name in built and kind in kinds), None)


def unknown_libraries(libraries: Iterable[str]) -> list[str]:
    """Those that this vocabulary does not know, in order."""
    return sorted(set(libraries) - set(LIBRARIES))


def drives(library: str, device: str) -> bool:
    """Whether a library of this name is known and this is a device of a kind that it drives."""
    try:
        return kind_of(device) in LIBRARIES.get(library, frozenset())
    except ValueError:
        return False
