"""A decrypted folder for libraries that want a path: links to sealed memory, so that names alone lie on a disk."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from appliance.errors import Unavailable
from appliance.inference.store.sealed_memory import SealedMemory
from appliance.storage.scratch import scratch, sweep_scratch

MOST_BYTES = 2_000_000_000
"""Of all its files: weights that lie beside their graph are joined with it to be loaded, and one message holds no more."""

_PREFIX = "cloister-sealed-"


class SealedFolder:
    """Each link leads into this process (/proc/self/fd), so that for every other one it leads nowhere."""

    def __init__(self, contents: Iterable[tuple[str, SealedMemory]]) -> None:
        """Raises `Unavailable` (`model.no_scratch`), and what making the `contents` raises, and leaves nothing then."""
        with ExitStack() as stack:
            self.path = stack.enter_context(_place())
            for name, memory in contents:
                stack.enter_context(memory)
                (self.path / name).symlink_to(memory.path)
            self._held = stack.pop_all()

    def close(self) -> None:
        """Let go of links and memory; nothing happens the second time."""
        self._held.close()


@contextmanager
def _place() -> Iterator[Path]:
    """Among temporary files: inside the seal the data directory takes no links."""
    with ExitStack() as stack:
        try:
            parent = Path(tempfile.gettempdir())
            sweep_scratch(parent, _PREFIX)
            place = stack.enter_context(scratch(parent, _PREFIX))
        except OSError as error:
            raise Unavailable(
                "An encrypted model folder needs a directory for temporary files, and none can be written.",
                code="model.no_scratch",
            ) from error
        yield place


def is_sealed(folder: Path) -> bool:
    """Whether it consists of such links; folders of the store hold plain files alone."""
    return folder.is_dir() and any(path.is_symlink() for path in folder.iterdir())
