"""A kernel that grants no layer of the seal, for the half of the proof that asks the libraries alone.

The appliance runs as it always does, finds each layer refused, says so, and goes on. So nothing in the product can switch the
seal off: what does it here is a system call filter around the whole box, which answers EPERM where layers are asked for.
"""

from __future__ import annotations

import errno
import platform

from appliance.egress.seal import calls, families

# unshare, setns, landlock_create_ruleset, seccomp; then prctl
_CALLS = {"x86_64": ((272, 308, 444, 317), 157), "aarch64": ((97, 268, 444, 277), 167)}
_PR_SET_SECCOMP = 22
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_NUMBER, _FIRST_ARGUMENT = 0, 16
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM


def refuse_layers() -> None:
    """For this process and all it starts. Raises `OSError` where that cannot be done."""
    if platform.machine() not in _CALLS:
        raise OSError(errno.ENOSYS, f"the numbers of the system calls of {platform.machine()} are not known here")
    layers, prctl = _CALLS[platform.machine()]
    program = [(_LOAD, 0, 0, _NUMBER)]
    for number in layers:
        program += [(_JUMP_IF_EQUAL, 0, 1, number), (_RETURN, 0, 0, _REFUSE)]
    program += [
        (_JUMP_IF_EQUAL, 1, 0, prctl),
        (_RETURN, 0, 0, _ALLOW),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_JUMP_IF_EQUAL, 0, 1, _PR_SET_SECCOMP),
        (_RETURN, 0, 0, _REFUSE),
        (_RETURN, 0, 0, _ALLOW),
    ]
    calls.gain_nothing_new()
    if not families.install(families.assembled(program)):
        raise OSError(errno.EPERM, "no system call filter")
