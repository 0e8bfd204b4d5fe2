"""No life without the parent: a child asks the kernel to be killed when the process that started it ends (prctl(2))."""

from __future__ import annotations

import ctypes
import os
import signal

_PR_SET_PDEATHSIG, _PR_GET_PDEATHSIG = 1, 2
_libc = ctypes.CDLL(None)


def die_with_parent(parent: int | None = None) -> None:
    """For the child to call. `parent` is its process id, where known: if it ended before the call, the child ends now."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if parent is not None and os.getppid() != parent:
        os._exit(1)


def dies_with_parent() -> bool:
    """Whether this process asked for that, or whoever started it."""
    number = ctypes.c_int()
    _libc.prctl(_PR_GET_PDEATHSIG, ctypes.byref(number), 0, 0, 0)
    return number.value != 0
