"""The catalogue, held against this box: what fits, what would run it, how it comes in, what of it is there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from appliance.inference.hardware.models import Hardware
from appliance.inference.registry import RuntimeSpec
from appliance.inference.selection.policy import RoutingPolicy
from appliance.inference.store.catalogue import EMBEDDER, Entry, Source
from appliance.inference.store.remote import installed_file
from appliance.inference.store.versions import ModelVersion

_FOLDERS = {
    "genai": "an ONNX Runtime GenAI folder, published as {}",
    "alias": "the folder that Foundry Local keeps of {}, where it is installed",
    "onnx": "a folder with an ONNX graph, published as {}",
}


@dataclass(frozen=True, slots=True)
class Need:
    """Memory for one quantisation, and the devices of this box that have as much, beside what must stay free on them."""

    quantisation: str
    memory_mb: int
    fits_on: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Supply:
    """One way in. `command` is empty where nobody has to type one; `runtimes` are those of this box that run what comes so."""

    kind: str
    sentence: str
    command: str
    runtimes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Runner:
    """A runtime that could run it, and why not at present."""

    name: str
    title: str
    usable: bool
    reason: str


@dataclass(frozen=True, slots=True)
class KnownModel:
    """One entry of the catalogue on this box; `versions` maps the ids of what is installed of it to their states."""

    entry: Entry
    needs: tuple[Need, ...]
    supplies: tuple[Supply, ...]
    runners: tuple[Runner, ...]
    versions: Mapping[str, str]

    @property
    def fits(self) -> bool:
        return any(need.fits_on for need in self.needs)

    def as_document(self) -> dict[str, Any]:
        """For JSON."""
        entry = self.entry
        return {
            "name": entry.name,
            "title": entry.title,
            "kind": entry.kind,
            "size_class": entry.size_class.value,
            "parameters_m": entry.parameters_m,
            "context_tokens": entry.context_tokens,
            "template": entry.template,
            "licence": entry.licence,
            "note": entry.note,
            "unusable": entry.unusable,
            "fits": self.fits,
            "memory": [asdict(need) for need in self.needs],
            "sources": [asdict(supply) for supply in self.supplies],
            "runtimes": [asdict(runner) for runner in self.runners],
            "versions": dict(self.versions),
        }


def known_models(
    entries: Iterable[Entry],
    versions: Iterable[ModelVersion],
    specs: Mapping[str, RuntimeSpec],
    hardware: Hardware,
    policy: RoutingPolicy,
) -> list[KnownModel]:
    """Every entry, in the order of the catalogue. Asks each runtime once whether it can be used."""
    runners = {EMBEDDER: Runner(EMBEDDER, "the embedder of the box", usable=True, reason="")}
    for name, spec in specs.items():
        available = spec.probe()
        runners[name] = Runner(name, spec.title, available.usable, "" if available.usable else available.reason)
    rooms = dict(_rooms(hardware, policy))
    installed = list(versions)
    return [_known(entry, installed, specs, runners, rooms) for entry in entries]


def _known(
    entry: Entry,
    versions: Iterable[ModelVersion],
    specs: Mapping[str, RuntimeSpec],
    runners: Mapping[str, Runner],
    rooms: Mapping[str, int],
) -> KnownModel:
    needs = []
    for quantisation in entry.quantisations:
        memory = entry.memory_mb(quantisation)
        needs.append(Need(quantisation, memory, tuple(device for device, room in rooms.items() if memory <= room)))
    supplies = tuple(supply for source in entry.sources for supply in _supplies(entry, source, specs))
    able = dict.fromkeys(name for supply in supplies for name in supply.runtimes)
    places = {f"Ollama: {_tagged(source.value)}" for source in entry.sources if source.kind == "ollama"}
    places |= {f"ollama:{source.value}" for source in entry.sources if source.kind == "ollama"}
    there = {item.id: item.state.value for item in versions if item.name == entry.name or item.source in places}
    return KnownModel(entry, tuple(needs), supplies, tuple(runners[name] for name in able), there)


def _rooms(hardware: Hardware, policy: RoutingPolicy) -> Iterator[tuple[str, int]]:
    """By device, what one model may take once nothing else is loaded; a device whose memory is not known has none."""
    yield "cpu", hardware.memory_total_mb - policy.memory_headroom_mb
    for device in hardware.accelerators:
        if not device.shares_memory:
            yield device.device, device.memory_total_mb - policy.device_headroom_mb


def _supplies(entry: Entry, source: Source, specs: Mapping[str, RuntimeSpec]) -> Iterator[Supply]:
    value, named = source.value, f"--name {entry.name}"
    served = tuple(name for name in specs if name == source.runtime)
    match source.kind:
        case "package":
            yield _packaged(entry, source, specs)
        case "ollama":
            pull, connect = f"cloister models pull {entry.name}", f"cloister models connect ollama:{value} {named}"
            yield Supply("ollama", f"{value}, copied from the Ollama of this machine", pull, _taking("gguf", specs))
            yield Supply("ollama", f"{value}, left in that Ollama", connect, served)
        case "served":
            command = f"cloister models connect destination:PLACE:{value} {named}"
            yield Supply("server", f"{value} in a server that destinations.toml names", command, served)
        case "gguf":
            command = f"cloister models import FILE.gguf {named}"
            yield Supply("file", f"a GGUF file, published as {value}", command, _taking("gguf", specs))
        case _:
            sentence = _FOLDERS[source.kind].format(value)
            runtimes = (EMBEDDER,) if entry.kind == "embedding" else _taking("genai", specs)
            yield Supply("folder", sentence, f"cloister models import FOLDER {named}", runtimes)


def _packaged(entry: Entry, source: Source, specs: Mapping[str, RuntimeSpec]) -> Supply:
    package, there = source.value.partition(":")[0], installed_file(source) is not None
    if entry.kind == "embedding":
        return Supply("package", f"the package {package}, from which the installation prepares it", "", (EMBEDDER,))
    command = f"pull {entry.name}" if there else f"import PACKAGE.whl --name {entry.name}"
    sentence = f"the package {package}, which is {'' if there else 'not '}installed"
    return Supply("package", sentence, f"cloister models {command}", _taking("gguf", specs))


def _taking(form: str, specs: Mapping[str, RuntimeSpec]) -> tuple[str, ...]:
    return tuple(name for name, spec in specs.items() if form in spec.formats)


def _tagged(name: str) -> str:
    """As the source of a version spells it that was copied from Ollama."""
    return name if ":" in name else f"{name}:latest"
