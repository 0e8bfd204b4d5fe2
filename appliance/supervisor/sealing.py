"""The supervisor's part of the seal: made before anything starts, entered by each child between fork and exec.

The supervisor stays outside. It knocks at the front door as a visitor would, and holds the listening socket for the web process;
it opens no other connection. A namespace is no place for it: what it would have to reach is outside.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from appliance.egress.destinations import Destination, load_destinations
from appliance.egress.seal.confinement import CODE, Confinement, fasten, kept_paths
from appliance.egress.seal.layers import (
    BEHIND_THE_SEAL,
    GATE,
    OLLAMA,
    OUTSIDE_BY_NATURE,
    Layer,
    Name,
    measure,
    measure_gate,
    network_namespace,
)
from appliance.egress.seal.namespace import Namespace, make_namespace
from appliance.egress.seal.reports import confine_own, forget_reports, note_outside, report_own
from appliance.errors import SetupError
from appliance.settings import Settings
from appliance.supervisor.names import WEB, QueueName, worker_name
from appliance.supervisor.ollama_server import ollama_program, program_places

OLLAMA_REASON = "it speaks TCP, in a network that has nothing but loopback"
GATE_REASON = OUTSIDE_BY_NATURE[GATE]
_DNS_PORT = 53
_TELEMETRY_FILES = Path(".cache", "Microsoft", "DeveloperTools", ".onnxruntime")


@dataclass(frozen=True, slots=True)
class Missing:
    """A layer that does not hold, for whom ("every process", or one by name), and what was found instead."""

    process: str
    layer: Name
    detail: str

    @property
    def sentence(self) -> str:
        return f"{self.layer} ({self.process}: {self.detail})"


@dataclass(frozen=True, slots=True)
class Seal:
    """What this kernel gave. `reasons` name processes that need a network, and why; they stay outside the namespace."""

    settings: Settings
    root: Path
    namespace: Namespace | None
    reasons: dict[str, str]
    missing: tuple[Missing, ...]

    def enter(self, process: str) -> None:
        """Close all layers; for a child, between fork and exec. Raises `OSError` where a namespace cannot be joined."""
        reason = self.reasons.get(process, "")
        fasten(_confinement(self.settings, self.root, process, reason), None if reason else self.namespace)
        os.chdir(self.root)

    def report(self, process: str) -> None:
        """Leave word of the layers of the calling process, which has entered."""
        report_own(self.settings.run_dir, process)

    def close(self) -> None:
        """The end: nobody runs whose layers could be told."""
        forget_reports(self.settings.run_dir)
        if self.namespace is not None:
            self.namespace.close()


def make_seal(settings: Settings, root: Path, reasons: dict[str, str]) -> Seal:
    """The seal for processes that run in `root`. One thread, and the run directory is there.

    Raises `SetupError` where `require_seal` is set and a layer is missing.
    """
    _remove_telemetry_files(settings.data_dir)
    forget_reports(settings.run_dir)
    namespace, problem = _namespace(settings, root)
    note_outside(settings.run_dir, reasons | ({"": problem} if problem else {}))
    seal = Seal(settings, root, namespace, reasons, ())
    layers = _tried(lambda: seal.enter(""), measure)
    missing = [Missing("every process", layer.name, _why(layer, problem)) for layer in layers if not layer.held]
    missing += [Missing(process, Name.NAMESPACE, reason) for process, reason in reasons.items() if process != GATE]
    if namespace is not None and problem and Name.SERVICES not in {each.layer for each in missing}:
        missing.append(Missing("every process", Name.FILES, f"settings can be changed from inside: {problem}"))
    if GATE in reasons:
        missing += [
            Missing(GATE, layer.name, layer.detail)
            for layer in _tried(lambda: seal.enter(GATE), measure_gate)
            if layer.name is Name.PORTS and not layer.held
        ]
    if settings.require_seal and missing:
        seal.close()
        lacking = "; ".join(each.sentence for each in missing)
        raise SetupError(f"The seal is required here, and layers of it are missing: {lacking}.", code="setup.seal_missing")
    return Seal(settings, root, namespace, reasons, tuple(missing))


def network_reasons(settings: Settings, root: Path) -> dict[str, str]:
    """Processes that a network must be left to, by name, each with the reason. Raises `SetupError` for wrong destinations."""
    reasons = {}
    if settings.redis_url and urlsplit(settings.redis_url).scheme != "unix":
        why = "the Redis named by redis_url is reached through the network"
        reasons = dict.fromkeys((WEB, *(worker_name(queue) for queue in QueueName)), why)
    if _destinations(root):
        reasons[GATE] = GATE_REASON
    return reasons


def seal_own(settings: Settings, process: str) -> None:
    """For the program of a process, at its start: close what no supervisor of ours closed before, and report what holds."""
    reason = network_reasons(settings, CODE).get(process, "")
    confine_own(settings.run_dir, process, _confinement(settings, CODE, process, reason))


def seal_gate(settings: Settings, root: Path, *, reported: bool) -> None:
    """As `seal_own`, for the gate, whose destinations lie in `root`; one that serves a single command leaves no report."""
    report = settings.run_dir / "seal"
    report.mkdir(mode=0o700, parents=True, exist_ok=True)
    confinement = _confinement(settings, root, GATE, GATE_REASON)
    if reported:
        confine_own(settings.run_dir, GATE, confinement)
    else:
        fasten(confinement, None)


def _confinement(settings: Settings, root: Path, process: str, reason: str) -> Confinement:
    if process == OLLAMA:
        own, programs = settings.ollama_dir, _ollama_places(settings)
        return Confinement(settings.data_dir, OLLAMA_REASON, (root,), own=own, programs=programs)
    if process != GATE:
        return Confinement(settings.data_dir, reason, (root,))
    try:
        destinations = _destinations(root).values()
    except SetupError:  # it will say so itself, and end: until then it reaches nobody
        return Confinement(settings.data_dir, reason, (root / "policies",), (), gate=True)
    authorities = [found.ca_file for found in destinations if found.ca_file]
    ports = {found.port for found in destinations}
    # names that do not fit into a datagram are asked for by TCP
    ports |= {_DNS_PORT} if ports else set()
    return Confinement(settings.data_dir, reason, (root / "policies", *authorities), tuple(sorted(ports)), gate=True)


def _destinations(root: Path) -> Mapping[str, Destination]:
    """Without the file nothing may leave, and the processes that need it say so themselves."""
    file = root / "policies" / "destinations.toml"
    return load_destinations(file) if file.exists() else {}


def _namespace(settings: Settings, root: Path) -> tuple[Namespace | None, str]:
    try:
        kept = [*kept_paths(settings.data_dir), root, *_redis_places(settings), *_ollama_places(settings)]
        made = make_namespace(kept, [_settings_file(settings.data_dir)])
    except OSError as error:
        return None, f"the kernel refuses: {error.strerror or error}"
    return made, made.problem


def _settings_file(data_dir: Path) -> Path:
    """There in any case, so that no process inside the seal can write one, and be given a network by it at the next start."""
    file = data_dir / "settings.toml"
    if not file.exists():
        file.touch(mode=0o600)
    return file


def _ollama_places(settings: Settings) -> tuple[Path, ...]:
    program = ollama_program(settings)
    return program_places(program) if program else ()


def _redis_places(settings: Settings) -> list[Path]:
    """An existing Redis with a socket below a covered directory stays within reach; its directory, so that it may start anew."""
    parts = urlsplit(settings.redis_url)
    return [Path(parts.path), Path(parts.path).parent] if parts.scheme == "unix" else []


def _why(layer: Layer, problem: str) -> str:
    return problem if problem and layer.name in {Name.NAMESPACE, Name.SERVICES} else layer.detail


def _tried(enter: Callable[[], None], look: Callable[[int], list[Layer]]) -> Sequence[Layer]:
    """The layers of a child that entered, and did nothing else."""
    outside = network_namespace()
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(read_end)
            enter()
            os.write(write_end, msgspec.json.encode(look(outside)))
        finally:
            os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as answer:
        words = answer.read()
    os.waitpid(child, 0)
    if not words:
        return [Layer(name, held=False, detail="a process that tried it died") for name in BEHIND_THE_SEAL]
    return msgspec.json.decode(words, type=list[Layer])


def _remove_telemetry_files(home: Path) -> None:
    """A device id and a queue of events, which onnxruntime leaves where it once ran without the opt-out, and might send later."""
    for file in (home / _TELEMETRY_FILES).glob("*"):
        file.unlink(missing_ok=True)
