"""The data directory of a box: whether one is or may become it, never one that holds something else; and making it."""

from __future__ import annotations

from tempfile import TemporaryFile

from appliance.errors import SetupError
from appliance.settings import Settings

_BEGUN = frozenset({"blobs", "keys", "logs", "models", "ollama", "run", "settings.toml", ".writable"})
"""What stands in one before there is a database: a start that was broken off (`.writable` by older versions), or settings."""
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


def make_directories(settings: Settings, *, create: bool) -> None:
    """The data directory and its parts, for the owner's eyes only. Raises `SetupError` where that is impossible."""
    refuse_foreign(settings)
    if not create and not settings.data_dir.is_dir():
        raise SetupError(
            f"There is no data directory at {settings.data_dir}; `cloister up` or `cloister init` makes one.",
            code="setup.no_data_directory",
        )
    try:
        for directory in (
            settings.data_dir,
            settings.root_key_path.parent,
            settings.blobs_dir,
            settings.models_dir,
            settings.run_dir,
        ):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with TemporaryFile(dir=settings.data_dir):  # without a name: every process of the box comes by here, also at once
            pass
    except OSError as error:
        raise SetupError(
            f"The data directory {settings.data_dir} cannot be written to ({error.strerror}).", code="setup.unwritable"
        ) from error
    mode = settings.data_dir.stat().st_mode & 0o777
    if mode & 0o077:
        settings.data_dir.chmod(0o700)
