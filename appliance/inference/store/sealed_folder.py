"""A decrypted folder for libraries that want a path: links to sealed memory, so that names alone lie on a disk."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

from appliance.inference.store.sealed_memory import SealedMemory
from appliance.storage.scratch import scratch, sweep_scratch

MOST_BYTES = 2_000_000_000
"""Of all its files: weights that lie beside their graph are joined with it to be loaded, and one message holds no more."""

_PREFIX = "cloister-sealed-"


class SealedFolder:
    """Each link leads into this process (/proc/self/fd), so that for every other one it leads nowhere."""

    def __init__(self, contents: Iterable[tuple[str, SealedMemory]]) -> None:
        """Raises what making the `contents` raises, and leaves nothing then."""
        parent = Path(tempfile.gettempdir())  # inside the seal the data directory takes no links
        sweep_scratch(parent, _PREFIX)
        with ExitStack() as stack:
            self.path = stack.enter_context(scratch(parent, _PREFIX))
            for name, memory in contents:
                stack.enter_context(memory)
                (self.path / name).symlink_to(memory.path)
            self._held = stack.pop_all()

    def close(self) -> None:
        """Let go of links and memory; nothing happens the second time."""
        self._held.close()


def is_sealed(folder: Path) -> bool:
    """Whether it consists of such links; folders of the store hold plain files alone."""
    return folder.is_dir() and any(path.is_symlink() for path in folder.iterdir())
