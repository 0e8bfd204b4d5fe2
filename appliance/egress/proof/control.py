"""Somebody who does try to get out, `python -m appliance.egress.proof.control NAME PORT [--like PID]`: asks, connects, sends.

On the proof's own ground the far side must see it, or it sees nobody. With `--like` it stands where that process of the box
stands, behind the same seal of namespaces, and must get nowhere. Prints what came of each try.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from appliance.egress.seal import calls

COMMAND_NAME = "proof-control"
ELSEWHERE = "203.0.113.7"
"""An address set aside for documentation (RFC 5737)."""

_SET_NAME = 15
_KINDS = (("user", calls.CLONE_NEWUSER), ("net", calls.CLONE_NEWNET), ("mnt", calls.CLONE_NEWNS))
_PATIENCE_S = 5


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m appliance.egress.proof.control", description="Tries to get out.")
    parser.add_argument("name")
    parser.add_argument("port", type=int)
    parser.add_argument("--like", metavar="PID", help="from where that process stands")
    given = parser.parse_args()
    calls.libc.prctl(_SET_NAME, ctypes.c_char_p(COMMAND_NAME.encode()), 0, 0, 0)
    if given.like:
        _stand_where(given.like)
    tries: dict[str, Callable[[], object]] = {
        "name": lambda: socket.getaddrinfo(given.name, given.port, socket.AF_INET, socket.SOCK_STREAM),
        "connection": lambda: _connect(given.port, given.name),
        "datagram": lambda: _send(given.port),
    }
    sys.stdout.write(json.dumps({what: _came(act) for what, act in tries.items()}) + "\n")
    return 0


def _stand_where(pid: str) -> None:
    descriptors = [
        (os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY), kind)
        for name, kind in _KINDS
        if Path(f"/proc/{pid}/ns/{name}").stat().st_ino != Path(f"/proc/self/ns/{name}").stat().st_ino
    ]
    for descriptor, kind in descriptors:
        calls.setns(descriptor, kind)


def _connect(port: int, name: str) -> None:
    with socket.create_connection((ELSEWHERE, port), timeout=_PATIENCE_S) as connection:
        connection.sendall(f"GET / HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
        connection.recv(1)


def _send(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"proof", (ELSEWHERE, port))


def _came(act: Callable[[], object]) -> str:
    """Empty where it succeeded, else the kernel's word."""
    try:
        act()
    except OSError as error:
        return type(error).__name__ + f": {error.strerror or error}"
    return ""


if __name__ == "__main__":
    sys.exit(main())
