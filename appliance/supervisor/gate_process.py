"""The gate's program: `python -m appliance.supervisor.gate_process --data DIR [--fd N] [--policies DIR] [--parent N]`.

It reads what an administrator allowed once, at its start, and closes every layer but the network before the first call. When
those files change it ends, and the supervisor starts it anew: the kernel lets nobody widen what was closed.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from appliance.egress.destinations import load_destinations
from appliance.egress.keeper import Keeper
from appliance.egress.seal.confinement import CODE
from appliance.egress.verdict import Permissions
from appliance.egress.windows import load_windows
from appliance.errors import SetupError
from appliance.inference.selection.policy import load_policy
from appliance.settings import Settings
from appliance.supervisor.sealing import seal_gate
from appliance.supervisor.signals import Signals
from appliance.supervisor.sockets import bind_private

FILES = ("destinations.toml", "routing.toml")
_EXIT_REFUSED = 2
_SETTLE_S = 8.0


def main() -> int:
    """Let calls out until SIGTERM, or until the files change. Exit code 2 and one sentence where it cannot start."""
    parser = argparse.ArgumentParser(prog="python -m appliance.supervisor.gate_process", description="The only way out.")
    parser.add_argument("--data", type=Path, required=True, help="data directory")
    parser.add_argument("--fd", type=int, help="inherited listening socket")
    parser.add_argument("--policies", type=Path, default=CODE / "policies", help="where destinations.toml and routing.toml lie")
    parser.add_argument("--parent", type=int, help="a process id: end with it, and leave no report")
    given = parser.parse_args()
    try:
        settings = Settings(data_dir=given.data.absolute())
        changed = _changes(given.policies)
        permissions = read_permissions(given.policies)
        listener = socket.socket(fileno=given.fd) if given.fd is not None else bind_private(settings.gate_path)
        seal_gate(settings, given.policies.parent, reported=given.parent is None)
    except SetupError as error:
        sys.stderr.write(f"{error.sentence}\n")
        return _EXIT_REFUSED
    keeper = Keeper(permissions)
    with Signals() as signals:
        keeper.serve(listener, lambda: signals.ending or changed() or given.parent not in {None, os.getppid()})
        if changed():
            sys.stderr.write("What may leave has changed: starting anew.\n")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    keeper.settle(_SETTLE_S)
    return 0


def read_permissions(policies: Path) -> Permissions:
    """What stands in the two files. Raises `SetupError`."""
    destinations = load_destinations(policies / FILES[0])
    rules = load_policy(policies / FILES[1]).rules
    classified = {name: frozenset(rule.destinations) for name, rule in rules.items()}
    return Permissions(destinations, load_windows(policies / FILES[0]), classified)


def _changes(policies: Path) -> Callable[[], bool]:
    """Whether the files are others than at the time of this call."""

    def seen() -> list[tuple[int, int, int] | None]:
        found: list[tuple[int, int, int] | None] = []
        for name in FILES:
            try:
                status = (policies / name).stat()
            except OSError:
                found.append(None)
            else:
                found.append((status.st_mtime_ns, status.st_size, status.st_ino))
        return found

    first = seen()
    return lambda: seen() != first


if __name__ == "__main__":
    sys.exit(main())
