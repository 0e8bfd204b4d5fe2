"""One holder at a time: locks that the kernel drops when their holder dies, however it dies."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from appliance.errors import SetupError


@contextmanager
def sole_holder(path: Path, sentence: str, code: str = "setup.already_running") -> Iterator[None]:
    """Hold the lock file `path`. Raises `SetupError` with `sentence` and `code` where somebody else holds it.

    The file itself stays behind: only the kernel's lock counts, so that a left-over file never blocks a start.
    """
    try:
        for directory in (path.parent.parent, path.parent):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SetupError(f"{path.parent} cannot be written: {error.strerror}.", code="setup.unwritable") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SetupError(sentence, code=code) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)
