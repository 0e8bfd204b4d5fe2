"""Whose packet it was: from the kernel's list of sockets to the process that has one open."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from appliance.egress.proof.packets import ICMP, ICMP6, TCP, UDP, Packet

_TABLES = {TCP: ("tcp", "tcp6"), UDP: ("udp", "udp6"), ICMP: ("icmp", "raw"), ICMP6: ("icmp6", "raw6")}
_WORDS = 4


@dataclass(frozen=True, slots=True)
class Owner:
    """`command` is the beginning of its command line. 0 and empty where nobody was found."""

    pid: int = 0
    name: str = ""
    command: str = ""


def owner_of(packet: Packet) -> Owner:
    """The process that sent it, as long as its socket is open: answer only afterwards."""
    for inode in _inodes(packet):
        for process in Path("/proc").glob("[0-9]*"):
            if _holds(process, f"socket:[{inode}]"):
                return _described(process)
    return Owner()


def _inodes(packet: Packet) -> list[str]:
    """Sockets on the port it came from; of TCP only the one with that far end."""
    found = []
    for table in _TABLES.get(packet.protocol, ("raw", "raw6")):
        file = Path("/proc/self/net", table)
        for line in file.read_text().splitlines()[1:] if file.exists() else ():
            columns = line.split()
            near, far = (int(columns[column].rpartition(":")[2], 16) for column in (1, 2))
            if packet.protocol in {TCP, UDP} and near != packet.source_port:
                continue
            if packet.protocol == TCP and far != packet.target_port:
                continue
            found.append(columns[9])
    return found


def _holds(process: Path, wanted: str) -> bool:
    try:
        return any(str(entry.readlink()) == wanted for entry in (process / "fd").iterdir())
    except OSError:  # it ended, or is another account's
        return False


def _described(process: Path) -> Owner:
    try:
        words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
        name = (process / "comm").read_text().strip()
    except OSError:
        return Owner(int(process.name))
    return Owner(int(process.name), name, " ".join([Path(words[0]).name, *words[1:_WORDS]]).strip())
