"""The system calls that the seal is made of, through the C library (unshare(2), setns(2), mount(2), prctl(2), capset(2)).

Each raises `OSError` where the kernel refuses. All act on the calling thread: they belong into a process that has no other yet.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from pathlib import Path

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET = 0x00020000, 0x10000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT, MS_BIND, MS_REC, MS_SLAVE, MS_RELATIME = 1, 2, 4, 32, 4096, 16384, 1 << 19, 1 << 21

_PR_SET_DUMPABLE, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 4, 24, 38
_CAPABILITIES_VERSION = 0x20080522
_CAPABILITIES_LIMIT = 64
_CAPSET = {"x86_64": 126, "aarch64": 91}
_EINVAL = 22

libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    _checked(libc.unshare(flags), "unshare")


def setns(descriptor: int, kind: int) -> None:
    _checked(libc.setns(descriptor, kind), "setns")


def mount(source: str, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    words = [None if word is None else os.fsencode(word) for word in (source, target, kind, options)]
    _checked(libc.mount(words[0], words[1], words[2], ctypes.c_ulong(flags), words[3]), f"mount {target}")


def set_dumpable() -> None:
    """Taking over a user namespace hides /proc/self from its own process; this shows it again."""
    libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)


def gain_nothing_new() -> None:
    """From here on no program that is started gains a privilege, set-user-ID or not."""
    _checked(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl")


def drop_capabilities(kept: int) -> None:
    """Give up every capability that is not a bit of `kept`, also for programs started later as root. Reads /proc."""
    for number in range(_CAPABILITIES_LIMIT):
        # refused where we hold no CAP_SETPCAP: then there is nothing to lose either; EINVAL is the end of the list
        gone = kept >> number & 1 or libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0) == 0
        if not gone and ctypes.get_errno() == _EINVAL:
            break
    if platform.machine() not in _CAPSET:
        return
    held = held_capabilities() & kept
    halves = [held & 0xFFFFFFFF, held >> 32]
    # effective, permitted, inheritable; lower half first
    sets = struct.pack("=6I", halves[0], halves[0], 0, halves[1], halves[1], 0)
    _checked(libc.syscall(_CAPSET[platform.machine()], struct.pack("=Ii", _CAPABILITIES_VERSION, 0), sets), "capset")


def held_capabilities() -> int:
    return int(status_field("CapPrm"), 16)


def status_field(name: str, pid: str = "self") -> str:
    """A line of /proc/PID/status; empty where there is no such line."""
    with Path(f"/proc/{pid}/status").open(encoding="ascii", errors="replace") as lines:
        return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(f"{name}:")), "")
