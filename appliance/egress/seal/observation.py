"""The layers of another process as /proc shows them to somebody outside the seal: a report is believed only so far."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from appliance.egress.seal import calls, covers
from appliance.egress.seal.confinement import KEPT_CAPABILITIES
from appliance.egress.seal.layers import Name, network_namespace
from appliance.egress.seal.reports import Report, pid_namespace

_CORE_LINE = "Max core file size"


def contradictions(report: Report) -> list[str]:
    """What the process says holds and /proc says does not; what cannot be looked at is left out.

    Files and families of sockets cannot be seen from outside: for those there is the process's word, and that a filter is there.
    """
    if report.pid_namespace != pid_namespace():
        return []
    claimed = {layer.name for layer in report.layers if layer.held}
    return [sentence for name, look in _LOOKS if name in claimed for sentence in _seen(look, str(report.pid))]


def _seen(look: Callable[[str], Iterator[str]], pid: str) -> list[str]:
    try:
        return list(look(pid))
    except OSError:  # it ended, or belongs to another account
        return []


def _namespace(pid: str) -> Iterator[str]:
    if network_namespace(pid) == network_namespace():
        yield "it shares the network of whoever asks"


def _services(pid: str) -> Iterator[str]:
    if Path("/run").is_dir() and not covers.covered() and not covers.covered(pid):
        yield "it sees the directories of host services"


def _families(pid: str) -> Iterator[str]:
    if calls.status_field("Seccomp", pid) != "2":
        yield "no system call filter"


def _privileges(pid: str) -> Iterator[str]:
    if calls.status_field("NoNewPrivs", pid) != "1":
        yield "it can gain privileges"
    if int(calls.status_field("CapPrm", pid), 16) & ~KEPT_CAPABILITIES:
        yield "it holds capabilities"


def _core(pid: str) -> Iterator[str]:
    for line in Path(f"/proc/{pid}/limits").read_text().splitlines():
        if line.startswith(_CORE_LINE) and line.removeprefix(_CORE_LINE).split()[:2] != ["0", "0"]:
            yield "it may dump core"


_LOOKS = (
    (Name.NAMESPACE, _namespace),
    (Name.SERVICES, _services),
    (Name.FAMILIES, _families),
    (Name.PRIVILEGES, _privileges),
    (Name.CORE, _core),
)
