"""What the kernel takes from the process that reads a file, before it looks at the file: files, the network, other processes.

The child runs under the account of the box, so file modes alone would leave it the root key. Landlock (landlock(7)) leaves it
only the libraries it still has to load; a system call filter (seccomp(2)) leaves it no sockets, Redis's among them, no other
process or thread and no way to touch one; it keeps no capability and may write to no file. What it is given to read stays as it
is, sealed. A kernel that knows one of them less is no reason to refuse work: the others, and the limits, still hold.
"""

from __future__ import annotations

import ctypes
import mimetypes
import os
import platform
import resource
import struct
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import appliance
from appliance.documents.parsing.calls import filter_program
from appliance.lifeline import die_with_parent

_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_PR_SET_DUMPABLE = 4
_PR_SET_SECCOMP = 22
_PR_SET_NO_NEW_PRIVS = 38
_DESCRIPTORS = 64

# landlock(7): numbers are the same on all architectures
_LANDLOCK_CREATE_RULESET, _LANDLOCK_ADD_RULE, _LANDLOCK_RESTRICT_SELF = 444, 445, 446
_LANDLOCK_CREATE_RULESET_VERSION = 1
_LANDLOCK_RULE_PATH_BENEATH = 1
_READ = (1 << 2) | (1 << 3)  # files and directories
_FILE_RIGHTS = ((1, 13), (2, 14), (3, 15), (5, 16))  # (since version, rights known then), counted from bit 0
_NET_RIGHTS = 0b11  # bind and connect, since version 4
_SCOPES = 0b11  # abstract sockets and signals, since version 6

_SECCOMP_MODE_FILTER = 2
_CAPABILITIES_VERSION = 0x20080522
_CAPSET = {"x86_64": 126, "aarch64": 91}

_libc = ctypes.CDLL(None, use_errno=True)


def confine(*, memory_mb: int, cpu_s: int) -> None:
    """Limits, then no network, no files, no other process, no new privileges and no life without the parent; for good."""
    die_with_parent()
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    # where the kernel refuses, the seal around the whole appliance still holds
    _libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
    # a new user namespace hides /proc/self from its own process, and the file is read through there
    _libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)
    memory = memory_mb * 1_000_000
    for limit, value in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, _DESCRIPTORS),
    ):
        resource.setrlimit(limit, (value, value))
    _close_files(_libraries())
    _drop_capabilities()
    _close_calls()


def landlock_version() -> int:
    """What this kernel knows of Landlock; below 1 where it knows or allows nothing."""
    return int(_libc.syscall(_LANDLOCK_CREATE_RULESET, None, 0, _LANDLOCK_CREATE_RULESET_VERSION))


def _libraries() -> set[Path]:
    """Where code lies that a parser loads when it is first needed, and what it reads beside it: fonts, kinds of files."""
    python = {Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    python |= {Path(prefix, "lib") for prefix in (sys.prefix, sys.base_prefix)}
    system = (
        "/lib",
        "/lib64",
        "/usr/lib",
        "/usr/lib64",
        "/usr/local/lib",
        "/usr/share",
        "/etc/ld.so.cache",
        *mimetypes.knownfiles,
    )
    return python | {Path(appliance.__file__).parent, *map(Path, system)}


def _close_files(readable: Iterable[Path]) -> None:
    """From here on only what lies below `readable` can be opened, and that only for reading; no TCP, no signals to others."""
    version = landlock_version()
    if version < 1:
        return
    rights = (1 << max(bits for since, bits in _FILE_RIGHTS if version >= since)) - 1
    attributes = struct.pack("=QQQ", rights, _NET_RIGHTS if version >= 4 else 0, _SCOPES if version >= 6 else 0)
    size = 8 if version < 4 else 16 if version < 6 else 24
    ruleset = _libc.syscall(_LANDLOCK_CREATE_RULESET, attributes, size, 0)
    for path in readable:
        with _opened(path) as descriptor:
            # of a single file there is no directory to list
            allowed = _READ if path.is_dir() else _READ & ~(1 << 3)
            rule = struct.pack("=Qi", allowed, descriptor)
            _libc.syscall(_LANDLOCK_ADD_RULE, ruleset, _LANDLOCK_RULE_PATH_BENEATH, rule, 0)
    _libc.syscall(_LANDLOCK_RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)


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


def _drop_capabilities() -> None:
    """capset(2) to nothing: those of root, and those that a user namespace gives over itself."""
    if platform.machine() in _CAPSET:
        header = struct.pack("=Ii", _CAPABILITIES_VERSION, 0)
        _libc.syscall(_CAPSET[platform.machine()], header, bytes(24))


def _close_calls() -> None:
    """From here on the calls that reach beyond this process fail with EPERM."""
    program = filter_program(platform.machine(), os.getpid())
    if program is None:
        return
    statements = ctypes.create_string_buffer(program, len(program))
    wanted = ctypes.create_string_buffer(struct.pack("@HP", len(program) // 8, ctypes.addressof(statements)))
    _libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, wanted, 0, 0)
