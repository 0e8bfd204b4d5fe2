"""Fetch all that an installation takes into one directory, for a machine that never had a network: `make packages`.

Every file is one that the hashed lock names. The machine that fetches must be like the one that installs: the same version of
Python and kind of processor, a C library that is not newer (wheels are chosen by these three). llama.cpp comes as its source and
is compiled where it is installed, with compilers that the other machine has.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from appliance.install import ROOT, InstallError, require_python, run, unusable_extras, without
from appliance.packages import Packages

# the source of llama.cpp is asked for its name and version with these: from the lock as well, and from nowhere else
_BUILDERS = ("scikit-build-core", "packaging", "pathspec", "setuptools")


def fetch(directory: Path) -> None:
    """Fill `directory`, which is new, empty or what an earlier fetch of this version left. Raises `InstallError`."""
    require_python()
    lock = (ROOT / "requirements.lock").read_text()
    packages = Packages.of_this_machine(lock, left_out=unusable_extras(nvidia=True))
    if directory.exists() and any(directory.iterdir()) and Packages.read(directory) != packages:
        raise InstallError(f"{directory} holds something else; name a directory that is new or empty.")
    directory.mkdir(parents=True, exist_ok=True)
    packages.write(directory)
    wanted = without(lock, packages.left_out)
    print("Fetching about half a gigabyte ...", flush=True)
    with tempfile.TemporaryDirectory() as place:
        try:
            venv.create(Path(place) / "environment", with_pip=True)
        except subprocess.CalledProcessError as error:
            raise InstallError("Python's venv module does not work here; on Debian: apt install python3-venv.") from error
        pip = [str(Path(place) / "environment" / "bin" / "python"), "-m", "pip", "-q", "--disable-pip-version-check"]
        checked = ["--no-deps", "--require-hashes", "-r"]
        for name, text in (("builders.txt", _builders(wanted)), ("wanted.txt", wanted)):
            (Path(place) / name).write_text(text)
        run([*pip, "install", *checked, f"{place}/builders.txt"], "What builds packages could not be installed")
        fetched = ["download", "--no-build-isolation", "-d", str(directory)]
        run([*pip, *fetched, *checked, f"{place}/wanted.txt"], "The packages could not be fetched")


def _builders(lock: str) -> str:
    blocks = [re.search(rf"^{name}==.*(?:\n .*)*\n?", lock, re.MULTILINE) for name in _BUILDERS]
    return "".join(block.group(0) for block in blocks if block)


def main() -> int:
    """Entry point; exit code 1 and one sentence where something is missing."""
    directory = Path(sys.argv[1] if len(sys.argv) > 1 else "packages").absolute()
    try:
        fetch(directory)
    except (InstallError, OSError) as error:
        print(f"cloister: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("cloister: Interrupted; the same command goes on with the fetching.", file=sys.stderr)
        return 130
    print(f"{directory} holds all that is needed. Take it to the other machine with this clone; there: make run PACKAGES=DIR")
    return 0


if __name__ == "__main__":
    sys.exit(main())
