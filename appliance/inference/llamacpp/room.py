"""Whether this box has the memory for a model, asked before the model is loaded."""

from __future__ import annotations

from pathlib import Path

from appliance.errors import Unavailable
from appliance.inference.hardware.probe import probe_hardware


def require_free_memory(path: Path, name: str, root: Path = Path("/")) -> None:
    """Raise `Unavailable` (`inference.load_failed`) where the weights alone are larger than the memory that is free.

    Without this the kernel would end a process, and not necessarily this one. `root` is where the box describes itself.
    """
    needed_mb, free_mb = path.stat().st_size // 1_000_000, probe_hardware(root).memory_available_mb
    if not free_mb:
        return  # a system that does not say; the library then fails or does not
    if needed_mb > free_mb:
        raise Unavailable(
            f"The language model {name} needs {needed_mb} MB of memory, and {free_mb} MB are free.",
            code="inference.load_failed",
            needed_mb=needed_mb,
            free_mb=free_mb,
        )
