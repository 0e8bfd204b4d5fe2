"""The box as selection sees it. Memory is in megabytes of 1,000,000 bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from appliance.inference.devices import SPEED, DeviceKind, kind_of

MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Accelerator:
    """A device beside the processor; `device` is its kind and number: "cuda:0", "rocm:0", "intel_npu:0".

    Memory is 0 where it is not known. A device that `shares_memory` takes it from the box's own. Raises `ValueError` for a kind
    that `DeviceKind` does not know.
    """

    device: str
    name: str
    memory_total_mb: int = 0
    memory_free_mb: int = 0
    shares_memory: bool = False

    def __post_init__(self) -> None:
        kind_of(self.device)

    @property
    def kind(self) -> DeviceKind:
        return kind_of(self.device)


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
        """The one named so: "cuda:1"."""
        return next((found for found in self.accelerators if found.device == device), None)

    def of_kind(self, kind: DeviceKind) -> tuple[str, ...]:
        """Every device of this kind; the processor is always there."""
        if kind is DeviceKind.CPU:
            return (str(DeviceKind.CPU),)
        return tuple(found.device for found in self.accelerators if found.kind is kind)

    def best(self, kinds: Sequence[DeviceKind] = SPEED) -> str:
        """Of the first of these kinds that there is, the device with most memory."""
        found = [one for one in self.accelerators if one.kind in kinds]
        found.sort(key=lambda one: (kinds.index(one.kind), -one.memory_total_mb))
        before_cpu = kinds.index(DeviceKind.CPU) if DeviceKind.CPU in kinds else len(kinds)
        return found[0].device if found and kinds.index(found[0].kind) < before_cpu else str(DeviceKind.CPU)

    def without(self, held_mb: Mapping[str, int]) -> Hardware:
        """As it would be once so much was given back of each device's memory."""
        shared = {device for device in held_mb if (card := self.accelerator(device)) is None or card.shares_memory}
        back = sum(held_mb[device] for device in shared)
        return replace(
            self,
            memory_available_mb=min(self.memory_total_mb, self.memory_available_mb + back),
            accelerators=tuple(
                card
                if card.device not in held_mb or card.shares_memory
                else replace(card, memory_free_mb=min(card.memory_total_mb, card.memory_free_mb + held_mb[card.device]))
                for card in self.accelerators
            ),
        )

    def as_document(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)
