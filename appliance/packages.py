"""A directory with all that an installation takes, and which machines it is for. Needs nothing installed."""

from __future__ import annotations

import hashlib
import json
import platform
import re
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

_MADE_FOR = "made-for.json"


@dataclass(frozen=True)
class Packages:
    """What a directory was filled for: version of Python, processor, C library, digest of the lock; and the extras it lacks."""

    python: str
    machine: str
    glibc: tuple[int, int]
    lock: str
    left_out: tuple[str, ...]

    @classmethod
    def of_this_machine(cls, lock: str, left_out: Iterable[str] = ()) -> Packages:
        digest = hashlib.sha256(lock.encode()).hexdigest()
        return cls("{}.{}".format(*sys.version_info), platform.machine(), glibc(), digest, tuple(sorted(left_out)))

    @classmethod
    def read(cls, directory: Path) -> Packages | None:
        """None where the directory holds none, or says so in another form: it may have come from anywhere."""
        try:
            told = json.loads((directory / _MADE_FOR).read_text())
            major, minor = told["glibc"]
            left_out = tuple(told["left_out"])
            if not all(isinstance(text, str) for text in (told["python"], told["machine"], told["lock"], *left_out)):
                return None
            if not isinstance(major, int) or not isinstance(minor, int):
                return None
            return cls(told["python"], told["machine"], (major, minor), told["lock"], left_out)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, directory: Path) -> None:
        (directory / _MADE_FOR).write_text(json.dumps(asdict(self), indent=2) + "\n")

    def obstacle(self, here: Packages) -> str:
        """Why they cannot be installed on a machine like `here`; empty where they can."""
        if self.lock != here.lock:
            return "they are of another version of Cloister"
        if (self.python, self.machine) != (here.python, here.machine):
            return f"they are for Python {self.python} on {self.machine}, this is Python {here.python} on {here.machine}"
        if any(self.glibc) != any(here.glibc) or self.glibc > here.glibc:
            return "they were fetched on a machine with a newer or another C library"
        return ""


def glibc() -> tuple[int, int]:
    """Version of the C library; (0, 0) where it is another one."""
    name, version = platform.libc_ver()
    match = re.match(r"(\d+)\.(\d+)", version)
    return (int(match[1]), int(match[2])) if name == "glibc" and match else (0, 0)
