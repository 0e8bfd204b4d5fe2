"""How weights may be stored, in one list: what the catalogue counts memory by, and what is worth making of a source. Pure.

Making a format from another never adds to what the source holds. A format with more bits than its source is therefore made for
its kernels alone, where they are quick; one with fewer bits may be smaller and faster, and loses something, which is measured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from appliance.inference.store.gguf_types import TENSOR_TYPES


@dataclass(frozen=True, slots=True)
class Quantisation:
    """One way of storing weights; `number` is llama.cpp's for a whole file (enum llama_ftype), `file_type` its name there.

    `bits` are the average of a file for each weight, scales included (ggml's block sizes; Q4_K_M keeps some tensors in six bits).
    Files of small models are larger, since their tables of words are a larger share. `quick` formats are computed by kernels that
    rearrange the weights for the processor, or in numbers the processor has itself.
    """

    name: str
    number: int
    bits: float
    quick: bool = False
    at_first_start: bool = False
    file_type: str = ""

    @property
    def called(self) -> str:
        """As the header of the file names it."""
        return self.file_type or self.name


ONE_BIT = Quantisation("1-bit", 37, 2.06, file_type="TQ2_0")
"""Three values a weight in blocks of 256, for models that were trained so."""

QUANTISATIONS = (
    Quantisation("F16", 1, 16.0, quick=True),
    Quantisation("Q8_0", 7, 8.5, quick=True, at_first_start=True),
    Quantisation("Q5_1", 9, 6.0),
    Quantisation("Q4_K_M", 15, 4.85, quick=True),
    Quantisation("Q4_0", 2, 4.5, quick=True, at_first_start=True),
    ONE_BIT,
)

BITS_PER_WEIGHT: Mapping[str, float] = MappingProxyType({item.name: item.bits for item in QUANTISATIONS})

LATER = "Left to `cloister models optimize`: the first start measures the two formats alone that mostly win, so as to be short."


@dataclass(frozen=True, slots=True)
class Source:
    """What the formats are made of. `trained_one_bit` is whether it was trained with three values a weight."""

    quantisation: str
    size_bytes: int
    parameters_m: float
    trained_one_bit: bool = False

    @property
    def bits(self) -> float:
        """For each weight, by its name; where that is none of ggml's, by the size of the file."""
        name = self.quantisation
        if name in BITS_PER_WEIGHT:
            return BITS_PER_WEIGHT[name]
        known = {title: 8 * size / weights for title, weights, size in TENSOR_TYPES.values()}
        while name and name not in known:
            name = name.rpartition("_")[0]
        return known[name] if name else 8 * self.size_bytes / (self.parameters_m * 1e6)

    def size_as(self, wanted: Quantisation) -> int:
        """About so many bytes would a file of the same weights have."""
        return round(self.size_bytes * wanted.bits / self.bits)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to make, and for each of the others a sentence that says why not."""

    make: tuple[Quantisation, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)


def plan(source: Source, need_mb: Callable[[int], int], room_mb: int, *, first_start: bool = False) -> Plan:
    """The formats worth making of `source`. `need_mb` is the memory that a file of so many bytes needs, `room_mb` what it may."""
    make, left_out = [], {}
    for wanted in QUANTISATIONS:
        if source.quantisation in {wanted.name, wanted.called}:
            continue
        need = need_mb(source.size_as(wanted))
        if wanted is ONE_BIT and not source.trained_one_bit:
            left_out[wanted.name] = "Only a model that was trained with three values a weight can do with so few bits."
        elif wanted.bits > source.bits and not wanted.quick:
            left_out[wanted.name] = (
                f"It would hold no more than its source in {source.quantisation}, and nothing computes it faster."
            )
        elif need > room_mb:
            left_out[wanted.name] = f"It would need about {need:,} MB of memory; {room_mb:,} MB are permitted."
        elif first_start and not wanted.at_first_start:
            left_out[wanted.name] = LATER
        else:
            make.append(wanted)
    return Plan(tuple(make), left_out)
