"""Kernels that know less than this one: system calls that fail with EPERM for a process and all it starts."""

from __future__ import annotations

UNSHARE, LANDLOCK, SECCOMP, SETNS = 272, 444, 317, 308
CLONE_NEWUSER = 0x10000000

PROGRAM = """
import struct
from appliance.egress.seal import calls, families
def refuse(numbers, unless=0):
    words = [(0x20, 0, 0, 0)]
    for number in numbers:
        words += [(0x15, 0, 3, number), (0x20, 0, 0, 16), (0x45, 1, 0, unless), (0x06, 0, 0, 0x00050001), (0x20, 0, 0, 0)]
    words.append((0x06, 0, 0, 0x7FFF0000))
    calls.gain_nothing_new()
    assert families.install(b"".join(struct.pack("=HBBI", *word) for word in words))
"""
"""`refuse([number, ...])`; with `unless` a call is let through whose first argument has one of these bits."""


def refusing(*numbers: int, unless: int = 0) -> str:
    """Source for the beginning of a program."""
    return f"{PROGRAM}\nrefuse({list(numbers)}, {unless})\n"
