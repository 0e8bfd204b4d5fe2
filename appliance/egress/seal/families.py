"""A system call filter (seccomp(2)) for processes that talk through UNIX sockets only: no other family of sockets exists.

Sockets that were handed over stay usable: the front door answers on its own, and can open none. With them go the calls that
would reach around the filter: io_uring, which opens sockets of its own, and taking descriptors or memory of other processes.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
from collections.abc import Iterable

from appliance.egress.seal.calls import libc

_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2
_LOAD, _JUMP_IF_EQUAL, _JUMP_IF_NOT_BELOW, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # where they stand in struct seccomp_data
_FIRST_FOREIGN_CALL = 0x40000000  # the other numbering of x86-64 (x32)

# architecture, socket; then io_uring_setup, pidfd_getfd, setns, ptrace, process_vm_readv, process_vm_writev, bpf, mount
_CALLS = {
    "x86_64": (0xC000003E, 41, (425, 438, 308, 101, 310, 311, 321, 165)),
    "aarch64": (0xC00000B7, 198, (425, 438, 268, 117, 270, 271, 280, 40)),
}
_AF_UNIX, _AF_INET, _AF_INET6 = 1, 2, 10
UNIX_ONLY = (_AF_UNIX,)
WITH_IP = (_AF_UNIX, _AF_INET, _AF_INET6)
IP_ONLY = (_AF_INET, _AF_INET6)
"""For a program that is not ours: sockets with a path, those of the box among them, are no concern of Landlock."""


def restrict_families(allowed: tuple[int, ...]) -> bool:
    """From here on socket(2) knows only `allowed`. Needs no-new-privileges. False where kernel or machine know no filters."""
    if platform.machine() not in _CALLS:
        return False
    return install(assembled(program(platform.machine(), allowed)))


def assembled(statements: Iterable[tuple[int, int, int, int]]) -> bytes:
    """As the kernel wants them (struct sock_filter)."""
    return b"".join(struct.pack("=HBBI", *statement) for statement in statements)


def program(machine: str, allowed: tuple[int, ...]) -> list[tuple[int, int, int, int]]:
    """Statements as (code, to skip if true, to skip if false, value)."""
    architecture, socket_call, refused = _CALLS[machine]
    no_permission = (_RETURN, 0, 0, _REFUSE | errno.EPERM)
    statements = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_JUMP_IF_EQUAL, 1, 0, architecture),
        no_permission,
        (_LOAD, 0, 0, _NUMBER),
        (_JUMP_IF_NOT_BELOW, 0, 1, _FIRST_FOREIGN_CALL),
        no_permission,
    ]
    for number in refused:
        statements += [(_JUMP_IF_EQUAL, 0, 1, number), no_permission]
    statements += [(_JUMP_IF_EQUAL, 1, 0, socket_call), (_RETURN, 0, 0, _ALLOW), (_LOAD, 0, 0, _FIRST_ARGUMENT)]
    for family in allowed:
        statements += [(_JUMP_IF_EQUAL, 0, 1, family), (_RETURN, 0, 0, _ALLOW)]
    # what systemd answers, too: libraries take it for a kernel without that family
    return [*statements, (_RETURN, 0, 0, _REFUSE | errno.EAFNOSUPPORT)]


def install(filter_program: bytes) -> bool:
    """Put a compiled filter upon this thread and all it starts; false where the kernel refuses."""
    statements = ctypes.create_string_buffer(filter_program, len(filter_program))
    wanted = ctypes.create_string_buffer(struct.pack("@HP", len(filter_program) // 8, ctypes.addressof(statements)))
    return bool(libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, wanted, 0, 0) == 0)
