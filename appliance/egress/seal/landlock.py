"""Landlock (landlock(7)): a process gives up files, TCP and signals to others, for good and for all its children."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from appliance.egress.seal.calls import libc

# the numbers are the same on all architectures
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_CREATE_RULESET_VERSION = 1
_RULE_PATH_BENEATH, _RULE_NET_PORT = 1, 2
_RIGHTS_KNOWN = ((1, 13), (2, 14), (3, 15), (5, 16))  # (since version, rights known then), counted from bit 0
_TCP, _CONNECT = 0b11, 0b10  # bind and connect, since version 4
_SCOPES = 0b11  # abstract sockets and signals, since version 6

EXECUTE = 1 << 0
LIST = 1 << 3
READ = (1 << 2) | LIST  # files and directories
WRITE = 0b0111_0111_1011_0010  # write, remove, make directories, files, sockets and links, move, cut; no devices
STORE = WRITE & ~(1 << 10 | 1 << 12)
"""As `WRITE`, without making symbolic links and pipes: whoever is outside the seal opens files of the data by their names, and
must not be led elsewhere by a process inside.
"""
USE_DEVICES = (1 << 1) | (1 << 15)  # write, ioctl
_OF_FILES = EXECUTE | (1 << 1) | (1 << 2) | (1 << 14) | (1 << 15)
"""Rights that a single file can have; the others are of directories."""


def landlock_version() -> int:
    """What this kernel knows of Landlock; below 1 where it knows or allows nothing."""
    return int(libc.syscall(_CREATE_RULESET, None, 0, _CREATE_RULESET_VERSION))


def restrict_files(allowed: Iterable[tuple[Path, int]], *, ports: Sequence[int] | None = ()) -> bool:
    """From here on only what lies below the paths of `allowed` can be used, each with its rights; no signals to others.

    TCP connects to `ports` alone, whatever the machine, and listens nowhere; None leaves all of it. Paths that are not there are
    left out. Needs no-new-privileges. False where the kernel refuses.
    """
    version = landlock_version()
    if version < 1:
        return False
    known = (1 << max(bits for since, bits in _RIGHTS_KNOWN if version >= since)) - 1
    attributes = struct.pack("=QQQ", known, _TCP if version >= 4 and ports is not None else 0, _SCOPES if version >= 6 else 0)
    ruleset = libc.syscall(_CREATE_RULESET, attributes, 8 if version < 4 else 16 if version < 6 else 24, 0)
    if ruleset < 0:
        return False
    for path, rights in allowed:
        with _opened(path) as descriptor:
            possible = known if path.is_dir() else known & _OF_FILES
            libc.syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, struct.pack("=Qi", rights & possible, descriptor), 0)
    for port in ports or ():
        libc.syscall(_ADD_RULE, ruleset, _RULE_NET_PORT, struct.pack("=QQ", _CONNECT, port), 0)
    done = libc.syscall(_RESTRICT_SELF, ruleset, 0) == 0
    os.close(ruleset)
    return bool(done)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    """The place itself, not its content; -1, which the kernel refuses as a rule, where it is not there."""
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        yield -1
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)
