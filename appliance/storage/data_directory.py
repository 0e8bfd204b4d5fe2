"""Whether a directory is the data directory of a box, or may become one: never one that holds something else."""

from __future__ import annotations

from appliance.errors import SetupError
from appliance.settings import Settings

_BEGUN = frozenset({"blobs", "keys", "logs", "models", "ollama", "run", "settings.toml", ".writable"})
"""What stands in one before there is a database: a start that was broken off, or settings written before the first one."""
_OF_THE_DISK = frozenset({"lost+found"})


def refuse_foreign(settings: Settings) -> None:
    """Raise `SetupError`: `setup.foreign_directory` where something else is there, `setup.unwritable` where nobody can tell."""
    data_dir = settings.data_dir
    if settings.database_path.exists() or settings.root_key_path.exists():
        return
    try:
        found = {path.name for path in data_dir.iterdir()} if data_dir.is_dir() else set()
    except OSError as error:
        raise SetupError(f"{data_dir} cannot be read: {error.strerror}.", code="setup.unwritable") from error
    strange = sorted(found - _BEGUN - _OF_THE_DISK)
    if strange:
        raise SetupError(
            f"{data_dir} holds something that is not Cloister's ({strange[0]}); name a directory that is new or empty.",
            code="setup.foreign_directory",
        )
