"""Which layers of the seal truly hold for this process: read back from the kernel and tried, never assumed."""

from __future__ import annotations

import errno
import os
import resource
import socket
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path

import msgspec

from appliance.egress.seal import calls, covers
from appliance.egress.seal.confinement import KEPT_CAPABILITIES
from appliance.egress.seal.landlock import landlock_version

OUTSIDE = (("203.0.113.1", socket.AF_INET), ("2001:db8::1", socket.AF_INET6))
"""Addresses set aside for documentation (RFC 5737, RFC 3849): a route to them is a route to anywhere."""

_DISCARD_PORT = 9
_REFUSED = frozenset({errno.EAFNOSUPPORT, errno.EPERM, errno.EACCES})
_NO_WAY = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL})


class Name(StrEnum):
    """The layers, outermost first."""

    NAMESPACE = "namespace"
    UNREACHABLE = "unreachable"
    SERVICES = "services"
    FAMILIES = "families"
    FILES = "files"
    PRIVILEGES = "privileges"
    CORE = "core"
    PORTS = "ports"


GATE = "gate"
"""The name of the one process that may call: it runs only where destinations are named."""

DOOR = "door"
"""The name of the process that opens the front door where no supervisor does (docker/compose.yaml). It answers nothing itself."""

OUTSIDE_BY_NATURE = {
    GATE: "its work is to call the machines that destinations.toml names",
    DOOR: "it holds the front door open, and gives it to the web process",
}
"""Processes that have a network, and why. What they lack by nature is told, and is no gap."""

OLLAMA = "ollama"
"""The name of the one process behind the seal that speaks TCP, on loopback, where that is all there is."""

BEHIND_THE_SEAL = tuple(name for name in Name if name is not Name.PORTS)
"""Layers of every process but the gate."""

OPEN_BY_NATURE = frozenset({Name.NAMESPACE, Name.UNREACHABLE, Name.SERVICES})
"""Layers that a process with a network cannot have."""


class Layer(msgspec.Struct, frozen=True):
    """One layer of one process. `detail` says how it was found, or what was found instead."""

    name: Name
    held: bool
    detail: str


class Strength(StrEnum):
    """What a seal is worth as a whole, weakest first; the words that policies/routing.toml requires."""

    NONE = "none"
    FILTER = "filter"  # the kernel refuses some system calls
    NAMESPACE = "namespace"  # there is no network to reach

    def meets(self, wanted: Strength) -> bool:
        strengths = list(Strength)
        return strengths.index(self) >= strengths.index(wanted)


def measure(outside_namespace: int | None = None) -> list[Layer]:
    """Every layer of the calling process. `outside_namespace` is the inode of the network namespace it must not be in."""
    return [_looked(name, look) for name, look in _looks(outside_namespace)]


def measure_gate(outside_namespace: int | None = None) -> list[Layer]:
    """As `measure`, for the gate: it may open IP sockets, and TCP takes it to the ports of named destinations only."""
    looks = dict(_looks(outside_namespace)) | {Name.FAMILIES: _families_with_ip, Name.PORTS: _ports}
    return [_looked(name, look) for name, look in looks.items()]


def measure_ollama(outside_namespace: int | None = None) -> list[Layer]:
    """As `measure`, for Ollama: IP sockets are no gap in a network that has nothing but loopback."""
    looks = dict(_looks(outside_namespace))
    if _looked(Name.NAMESPACE, looks[Name.NAMESPACE]).held:
        looks[Name.FAMILIES] = _families_with_ip
    return [_looked(name, look) for name, look in looks.items()]


def strength(layers: list[Layer]) -> Strength:
    held = {layer.name for layer in layers if layer.held}
    if {Name.NAMESPACE, Name.UNREACHABLE, Name.SERVICES} <= held:
        return Strength.NAMESPACE
    return Strength.FILTER if Name.FAMILIES in held else Strength.NONE


def network_namespace(pid: str = "self") -> int:
    """The inode that names it. Raises `OSError` for a process that hides it."""
    return Path(f"/proc/{pid}/ns/net").stat().st_ino


def _looks(outside: int | None) -> list[tuple[Name, Callable[[], tuple[bool, str]]]]:
    return [
        (Name.NAMESPACE, lambda: _namespace(outside)),
        (Name.UNREACHABLE, _unreachable),
        (Name.SERVICES, _services),
        (Name.FAMILIES, _families),
        (Name.FILES, _files),
        (Name.PRIVILEGES, _privileges),
        (Name.CORE, _core),
    ]


def _looked(name: Name, look: Callable[[], tuple[bool, str]]) -> Layer:
    try:
        held, detail = look()
    except OSError as error:  # what cannot be seen is not claimed
        held, detail = False, f"cannot be seen: {error.strerror}"
    return Layer(name, held, detail)


def interfaces() -> list[str]:
    """Names of the network interfaces of this namespace."""
    lines = Path("/proc/self/net/dev").read_text().splitlines()[2:]
    return [line.partition(":")[0].strip() for line in lines]


def _namespace(outside: int | None) -> tuple[bool, str]:
    found, own = interfaces(), network_namespace()
    foreign = [name for name in found if name != "lo"]
    if own == outside:
        return False, "in the network of this machine"
    if foreign:
        return False, f"interfaces {', '.join(foreign)}"
    return True, f"net:[{own}], loopback only"


def _unreachable() -> tuple[bool, str]:
    """Connecting a datagram socket asks for a route and sends nothing, so that a box without a seal stays silent, too."""
    for address, family in OUTSIDE:
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((address, _DISCARD_PORT))
        except OSError as error:
            if error.errno not in _REFUSED | _NO_WAY:
                return False, f"{address}: {error.strerror}"
            continue
        return False, f"there is a route to {address}"
    return True, "connecting to an address outside fails at once"


def _services() -> tuple[bool, str]:
    if covers.covered():
        return True, "directories of host services covered"
    found = [path for path in covers.SERVICE_SOCKETS if Path(path).exists()]
    if found:
        return False, f"{found[0]} can be reached"
    if interfaces() != ["lo"]:
        return False, "directories of host services not covered"
    return True, "no socket of a host service here"


def _families() -> tuple[bool, str]:
    return _refused({"IP": socket.AF_INET, "netlink": socket.AF_NETLINK}, "UNIX sockets only")


def _families_with_ip() -> tuple[bool, str]:
    return _refused({"netlink": socket.AF_NETLINK, "packet": socket.AF_PACKET}, "UNIX and IP sockets only")


def _ports() -> tuple[bool, str]:
    """Nobody is meant to answer at this port, and nothing leaves: it is one of this machine."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.settimeout(1)
            probe.connect(("127.0.0.1", _DISCARD_PORT))
    except PermissionError:
        return True, "TCP to the ports of named destinations only"
    except OSError as error:
        return False, f"TCP to every port ({error.strerror})"
    return False, "TCP to every port"


def _refused(families: Mapping[str, int], sentence: str) -> tuple[bool, str]:
    if calls.status_field("Seccomp") != "2":
        return False, "no system call filter"
    for name, family in families.items():
        try:
            socket.socket(family, socket.SOCK_DGRAM).close()
        except OSError as error:
            if error.errno in _REFUSED:
                continue
            raise
        return False, f"{name} sockets can be opened"
    return True, sentence


def _files() -> tuple[bool, str]:
    try:
        os.close(os.open("/", os.O_RDONLY | os.O_DIRECTORY))
    except PermissionError:
        return True, f"Landlock, version {landlock_version()} of the kernel"
    return False, "every file of this account can be opened"


def _privileges() -> tuple[bool, str]:
    excess = int(calls.status_field("CapPrm"), 16) & ~KEPT_CAPABILITIES
    if calls.status_field("NoNewPrivs") != "1":
        return False, "new privileges can be gained"
    return not excess, "none to gain, none to keep" if not excess else f"capabilities {excess:x}"


def _core() -> tuple[bool, str]:
    limit = resource.getrlimit(resource.RLIMIT_CORE)
    return limit == (0, 0), "no core dumps" if limit == (0, 0) else f"core dumps up to {limit[0]}"
