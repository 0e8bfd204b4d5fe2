"""What one process gives up, and giving it up: all layers in the order in which the kernel takes them."""

from __future__ import annotations

import mimetypes
import os
import resource
import sys
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path

import appliance
from appliance.egress.seal import calls, families, landlock
from appliance.egress.seal.namespace import Namespace

CODE = Path(appliance.__file__).resolve().parent.parent
KEPT_CAPABILITIES = 1 << 1 | 1 << 3
"""DAC_OVERRIDE and FOWNER, where we hold them: root may run a box whose files belong to an account."""

_OLDEST_LANDLOCK = 2
"""Version 1 refuses to move a file from one directory to another, which storing a document does."""

_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/opt", "/nix/store")
_STICKS = ("/media", "/mnt")
_READABLE = ("/etc", "/proc", "/sys", "/dev", "/run", *_STICKS)
_SCRATCH = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 - the seal's own, or at least nobody else's files


@dataclass(frozen=True, slots=True)
class Confinement:
    """What a process of the box still needs. `network` is why it needs more than UNIX sockets, empty where it does not.

    `ports` are those it may reach by TCP then, None is all. The gate is given nothing of the data but the place for its report.
    A program that is not ours is given that and a directory of its `own`; `programs` are where it lies.
    """

    data_dir: Path
    network: str = ""
    also_readable: tuple[Path, ...] = field(default=())
    ports: tuple[int, ...] | None = None
    gate: bool = False
    own: Path | None = None
    programs: tuple[Path, ...] = ()

    def files(self) -> list[tuple[Path, int]]:
        """Paths with their Landlock rights: programs are read and run, data is read and written and never run."""
        rules = self._rules()
        return [self._without_data(path, rights) for path, rights in rules] if self.gate else rules

    def _rules(self) -> list[tuple[Path, int]]:
        run = landlock.READ | landlock.EXECUTE
        python = {Path(place) for place in (*sysconfig.get_paths().values(), sys.prefix, sys.base_prefix, *sys.path) if place}
        return [
            *((path, run) for path in sorted(python | {CODE, *program_places(), *self.programs})),
            *((Path(name), run) for name in _SYSTEM),
            *((Path(name), landlock.READ) for name in (*_READABLE, *mimetypes.knownfiles)),
            (Path("/dev"), landlock.READ | landlock.USE_DEVICES),
            *((path, landlock.READ) for path in self.also_readable),
            (CODE / "appliance", run),
            *((path, landlock.READ | landlock.WRITE) for path in self._scratch()),
            *((path, landlock.READ | landlock.STORE) for path in self._stored()),
        ]

    def _without_data(self, path: Path, rights: int) -> tuple[Path, int]:
        """Rights reach downwards and cannot be taken back further down: a place above the data may be listed and no more."""
        above = self.data_dir.resolve().is_relative_to(path.resolve())
        return path, rights & landlock.LIST if above or str(path) in _STICKS else rights

    def _scratch(self) -> list[Path]:
        if self.gate:
            return []
        # programs for GPUs share memory in the last
        return [self.own, Path(_SCRATCH[-1])] if self.own is not None else [*map(Path, _SCRATCH)]

    def _stored(self) -> list[Path]:
        return [self.data_dir / "run" / "seal"] if self.gate or self.own is not None else data_places(self.data_dir)


def program_places() -> set[Path]:
    """Where the interpreter really lies: a virtual environment points at it, often by way of other links."""
    places, path = set(), Path(sys.executable)
    for _ in range(8):
        places |= {path.parent, path.resolve().parent.parent}
        if not path.is_symlink():
            break
        path = path.parent / path.readlink()
    return places


def fasten(confinement: Confinement, namespace: Namespace | None) -> None:
    """Close every layer that this kernel has. For a process without other threads; `namespace` only between fork and exec.

    Raises `OSError` where a namespace that was made cannot be joined. Every other layer that is refused is left out: what truly
    holds is for `layers.measure` to say.
    """
    if namespace is not None:
        namespace.join()
    # a core dump would hold keys and documents
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    calls.gain_nothing_new()
    calls.drop_capabilities(KEPT_CAPABILITIES)
    if landlock.landlock_version() >= _OLDEST_LANDLOCK:
        landlock.restrict_files(confinement.files(), ports=confinement.ports if confinement.network else ())
    families.restrict_families(families.WITH_IP if confinement.network else families.UNIX_ONLY)


def kept_paths(data_dir: Path) -> list[Path]:
    """What must stay visible where directories are covered: code, interpreter and data, wherever they lie."""
    places = [CODE, Path(sys.prefix), Path(sys.base_prefix), *program_places(), *map(Path, filter(None, sys.path))]
    return [*places, *data_places(data_dir)]


def data_places(data_dir: Path) -> list[Path]:
    """The data directory, and where its parts lie that an administrator put elsewhere by a link (models on another disk).

    No process inside the seal can make such a link: it would be let out by it when it is started again.
    """
    return [data_dir, *(Path(os.path.realpath(path)) for path in data_dir.glob("*") if path.is_symlink())]
