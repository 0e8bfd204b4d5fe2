"""Decrypted weights in memory that has no name on any disk and that nobody can change any more."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from appliance.errors import Unavailable

_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL


class SealedMemory:
    """An anonymous file (memfd_create(2)), sealed; `path` can be opened by libraries of this process while it is not closed."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        """Raises `Unavailable` (`model.memory`) where the memory does not suffice, and what reading `pieces` raises."""
        self._descriptor = os.memfd_create("model", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            for piece in pieces:
                view = memoryview(piece)
                while view:
                    view = view[os.write(self._descriptor, view) :]
            fcntl.fcntl(self._descriptor, fcntl.F_ADD_SEALS, _SEALS)
        except OSError as error:
            self.close()
            if error.errno in {errno.ENOMEM, errno.ENOSPC}:
                raise Unavailable("There is not enough memory to decrypt the model.", code="model.memory") from error
            raise
        except BaseException:
            self.close()
            raise

    @property
    def path(self) -> Path:
        """Valid in this process only, until `close`; a mapping made of it stays."""
        return Path(f"/proc/self/fd/{self._descriptor}")

    def close(self) -> None:
        """Let go of the memory, unless somebody has it mapped; nothing happens the second time."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
