"""The door through which runtimes come in: entry points of the group `cloister.runtimes`, built-in ones included."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.errors import NotFound
from appliance.inference.models import Model
from appliance.inference.runtime import Runtime

if TYPE_CHECKING:
    from appliance.egress.gate import Gate

GROUP = "cloister.runtimes"
BUILT_IN = frozenset({"foundry", "genai", "llamacpp", "ollama", "openai_http"})
"""What comes with the appliance. Their libraries may be missing on this box; policies may name them all the same."""

DEFAULT_SLOTS = 4


@dataclass(frozen=True, slots=True)
class Availability:
    """Whether a runtime can be used on this box; `reason` says in a sentence why not.

    `libraries` are what its build computes with, in the words of `appliance.inference.devices.LIBRARIES`.
    """

    usable: bool
    reason: str = ""
    libraries: tuple[str, ...] = ("cpu",)


@dataclass(frozen=True, slots=True)
class LoadRequest:
    """What a runtime is asked to load. `path` is a verified file or folder, None for a model that lives in a server.

    `destination` is where that server is: an address of this machine (Ollama), or the name of a destination of the egress `gate`
    (openai_http); what it calls the model stands in `model.source`, as "ollama:NAME" or "destination:PLACE:NAME". `device` is
    one of this box ("rocm:0") and `library` what of the runtime's build drives it ("hip"). `slots` is how many answers it should
    work on at once, where it can; `adapters` are LoRA files and how strongly each applies; `template` is the TEMPLATE of the
    version's Modelfile, for runtimes that write conversations down themselves.
    """

    model: Model
    path: Path | None
    context_tokens: int
    threads: int
    device: str = "cpu"
    library: str = "cpu"
    slots: int = DEFAULT_SLOTS
    adapters: tuple[tuple[Path, float], ...] = ()
    template: str = ""
    destination: str = ""
    gate: Gate | None = None


@dataclass(frozen=True, slots=True)
class RuntimeSpec:
    """One way of running language models, as its package declares it.

    `formats` are the model formats it takes: "gguf", "genai" (an ONNX Runtime GenAI folder), "served" (a model inside a server).
    `probe` imports and starts nothing expensive; `load` raises `SetupError`, `Unavailable` or `InvalidInput`. `reads_memory`
    says whether it takes what is decrypted into this process's memory alone: a path below /proc/self/fd, a folder of links there.
    """

    name: str
    title: str
    formats: frozenset[str]
    probe: Callable[[], Availability]
    load: Callable[[LoadRequest], Runtime]
    reads_memory: bool = True


def runtime_specs() -> dict[str, RuntimeSpec]:
    """Every installed runtime by name. Importing one must cost nothing but its own module."""
    specs = [entry.load() for entry in _entries()]
    return {spec.name: spec for spec in sorted(specs, key=lambda spec: spec.name)}


def runtime_names() -> frozenset[str]:
    """Every name that a policy may speak of; loads nothing."""
    return BUILT_IN | {entry.name for entry in _entries()}


@cache
def _entries() -> tuple[EntryPoint, ...]:
    # every question asks, and reading what is installed takes longer than choosing among it
    return tuple(entry_points(group=GROUP))


def runtime_spec(name: str, specs: Mapping[str, RuntimeSpec] | None = None) -> RuntimeSpec:
    """The runtime of this name, of `specs` or of all that are installed. Raises `NotFound` (`inference.no_runtime`)."""
    try:
        return (runtime_specs() if specs is None else specs)[name]
    except KeyError:
        raise NotFound(f"There is no runtime named {name} on this box.", code="inference.no_runtime") from None
