"""Sockets of host services that would ask the network for us lie below a few directories: these are covered.

A network namespace holds back packets and abstract sockets, but a socket with a path answers from wherever the path is seen:
systemd-resolved, nscd, sssd, avahi, D-Bus, container engines. So the sealed processes see empty directories there.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from appliance.egress.seal import calls

SOURCE = "cloister-seal"
"""The name under which the covers stand in /proc/self/mountinfo."""

COVERED = (
    "/run",
    "/var/run",
    "/var/lib/sss",
    "/var/lib/docker",
    "/var/lib/lxd",
    "/var/snap",
    "/var/lib/containerd",
    "/var/spool",
)
SCRATCH = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 - they get a temporary file system of their own
SERVICE_SOCKETS = (
    "/run/systemd/resolve/io.systemd.Resolve",
    "/run/nscd/socket",
    "/run/dbus/system_bus_socket",
    "/run/avahi-daemon/socket",
    "/run/docker.sock",
    "/run/containerd/containerd.sock",
    "/run/podman/podman.sock",
    "/var/lib/sss/pipes/nss",
)
_REMOVABLE = Path("/run/media")
_LIMIT = "size=256m"


def cover(kept: Iterable[Path], source: str = SOURCE) -> None:
    """Cover the directories, in a mount namespace of our own; what is `kept` stays visible below them. Raises `OSError`."""
    # what is mounted later, a stick with a model, is seen here, too; what is mounted here is seen nowhere else
    calls.mount("none", "/", None, calls.MS_REC | calls.MS_SLAVE)
    places = _places((*COVERED, *SCRATCH))
    saved = [(path, os.open(path, os.O_PATH)) for path in _below((*kept, _REMOVABLE), places)]
    for place in places:
        scratch = str(place) in SCRATCH
        calls.mount(
            source, str(place), "tmpfs", calls.MS_NOSUID | calls.MS_NODEV, f"mode={'1777' if scratch else '755'},{_LIMIT}"
        )
    for path, descriptor in saved:
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):  # noqa: PTH112 - a descriptor, not a path
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        calls.mount(f"/proc/self/fd/{descriptor}", str(path), None, calls.MS_BIND | calls.MS_REC)
        os.close(descriptor)


def freeze(file: Path) -> None:
    """In a mount namespace of our own, make a file read-only and unmovable, whatever may be done beside it. Raises `OSError`."""
    if file.is_symlink():
        raise OSError(errno.ELOOP, f"{file.name} is a link, which a process inside could exchange for a file of its own")
    # what the mount below keeps from users must be kept up, or the kernel refuses
    flags = os.statvfs(file).f_flag
    kept = flags & (os.ST_NOSUID | os.ST_NODEV | os.ST_NOEXEC | os.ST_NOATIME | os.ST_NODIRATIME)
    kept |= calls.MS_RELATIME if flags & os.ST_RELATIME else 0
    calls.mount(str(file), str(file), None, calls.MS_BIND)
    calls.mount("none", str(file), None, calls.MS_BIND | calls.MS_REMOUNT | calls.MS_RDONLY | kept)


def covered(pid: str = "self") -> bool:
    """Whether that process sees our cover where most services have their sockets."""
    with Path(f"/proc/{pid}/mountinfo").open(encoding="utf-8", errors="surrogateescape") as mounts:
        seen = {line.split()[4] for line in mounts if f" tmpfs {SOURCE} " in line}
    return os.path.realpath("/run") in seen


def _places(names: Iterable[str]) -> list[Path]:
    """Those that are there, each once, none below another."""
    found = sorted({Path(os.path.realpath(name)) for name in names if Path(name).is_dir()})
    return [path for path in found if not any(path != other and path.is_relative_to(other) for other in found)]


def _below(kept: Iterable[Path], places: Sequence[Path]) -> list[Path]:
    """The real paths that a cover would hide, outermost first."""
    real = sorted({path for name in kept if (path := Path(os.path.realpath(name))).exists()})
    hidden = [path for path in real if path not in places and any(path.is_relative_to(place) for place in places)]
    return [path for path in hidden if not any(path != other and path.is_relative_to(other) for other in hidden)]
