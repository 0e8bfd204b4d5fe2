"""What the kernel takes from the process that reads a file, before it looks at the file: files, the network, other processes.

The child runs under the account of the box, so file modes alone would leave it the root key. Landlock (landlock(7)) leaves it
only the libraries it still has to load; a system call filter (seccomp(2)) leaves it no sockets, Redis's among them, no other
process or thread and no way to touch one; it keeps no capability and may write to no file. What it is given to read stays as it
is, sealed. A kernel that knows one of them less is no reason to refuse work: the others, and the limits, still hold.
"""

from __future__ import annotations

import mimetypes
import os
import platform
import resource
import sys
import sysconfig
from contextlib import suppress
from pathlib import Path

import appliance
from appliance.documents.parsing.calls import filter_program
from appliance.egress.seal import calls
from appliance.egress.seal.families import install
from appliance.egress.seal.landlock import READ, restrict_files
from appliance.lifeline import die_with_parent

_DESCRIPTORS = 64


def confine(*, memory_mb: int, cpu_s: int) -> None:
    """Limits, then no network, no files, no other process, no new privileges and no life without the parent; for good."""
    die_with_parent()
    calls.gain_nothing_new()
    # where the kernel refuses, the seal around the whole appliance still holds
    with suppress(OSError):
        calls.unshare(calls.CLONE_NEWUSER | calls.CLONE_NEWNET)
    # the file is read through /proc/self
    calls.set_dumpable()
    memory = memory_mb * 1_000_000
    for limit, value in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, _DESCRIPTORS),
    ):
        resource.setrlimit(limit, (value, value))
    # where both are the same the kernel kills at once, and whoever waits could not tell that from a crash
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
    # those of root, and those that a user namespace gives over itself
    calls.drop_capabilities(0)
    restrict_files((path, READ) for path in _libraries())
    program = filter_program(platform.machine(), os.getpid())
    if program is not None:
        install(program)


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
