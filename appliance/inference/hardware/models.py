"""The box as selection sees it. Memory is in megabytes of 1,000,000 bytes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Accelerator:
    """A device beside the processor; `device` is what a runtime is told to use: "cuda:0", "rocm:0", "xpu:0", "metal:0", "npu:0".

    Memory is 0 where it is not known. A device that `shares_memory` takes it from the box's own.
    """

    device: str
    kind: Literal["gpu", "npu"]
    name: str
    memory_total_mb: int = 0
    memory_free_mb: int = 0
    shares_memory: bool = False


@dataclass(frozen=True, slots=True)
class Hardware:
    """What this process may use of the machine.

    `memory_total_mb` and `memory_available_mb` are the machine's or those of its control group, whichever are smaller;
    0 means that it could not be found out. `cpu_quota` is in cores, None where there is none. `providers` are ONNX Runtime's
    execution providers. `remarks` says in a sentence each what could not be looked at.
    """

    processor: str = ""
    architecture: str = ""
    features: tuple[str, ...] = ()
    cores: int = 1
    cpu_quota: float | None = None
    memory_total_mb: int = 0
    memory_available_mb: int = 0
    memory_limit_mb: int | None = None
    accelerators: tuple[Accelerator, ...] = ()
    providers: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    def accelerator(self, device: str) -> Accelerator | None:
        """The first accelerator that `device` names: "cuda:0" itself, "cuda" any of its kind, "gpu" and "npu" any such."""
        for found in self.accelerators:
            if device in {found.device, found.device.partition(":")[0], found.kind}:
                return found
        return None

    def as_document(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)
