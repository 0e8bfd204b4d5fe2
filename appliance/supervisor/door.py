"""The front door where no supervisor of ours opens it: `python -m appliance.supervisor.door --data DIR --host H --port P`.

A process with a network, and nothing else: it listens, and hands the listening socket to the web process, which has no network. A
socket stays in the network it was opened in, so that the web process answers there, and can call nobody.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
import threading
from contextlib import closing, suppress
from pathlib import Path

from appliance.egress.frames import peer_user
from appliance.egress.seal.confinement import Confinement
from appliance.egress.seal.layers import DOOR
from appliance.egress.seal.reports import confine_own
from appliance.errors import SetupError
from appliance.settings import Settings
from appliance.supervisor.signals import Signals
from appliance.supervisor.sockets import bind_front_door, bind_private

NAME = "door.sock"
_LOOK_S = 0.2
_PATIENCE_S = 10.0


def main() -> int:
    """Until SIGTERM. Exit code 2 and one sentence where it cannot listen."""
    parser = argparse.ArgumentParser(prog="python -m appliance.supervisor.door", description="The front door.")
    parser.add_argument("--data", type=Path, required=True, help="data directory")
    parser.add_argument("--host", required=True, help="address to listen on")
    parser.add_argument("--port", type=int, required=True, help="port to listen on")
    given = parser.parse_args()
    settings = Settings(data_dir=given.data.absolute())
    try:
        door = bind_front_door(given.host, given.port)
        place = bind_private(settings.run_dir / NAME)
    except SetupError as error:
        sys.stderr.write(f"{error.sentence}\n")
        return 2
    (settings.run_dir / "seal").mkdir(mode=0o700, exist_ok=True)
    confine_own(settings.run_dir, DOOR, Confinement(settings.data_dir, gate=True))
    place.settimeout(_LOOK_S)
    holders: list[socket.socket] = []  # whoever has the door learns by its end that we are gone
    with Signals() as signals:
        while not signals.wait(0):
            with suppress(OSError):
                holders.append(_given(place.accept()[0], door))
    return 0


def take_door(run_dir: Path) -> tuple[socket.socket, socket.socket]:
    """For the web process: the listening socket, and a connection for `end_with`. Raises `SetupError` where nobody answers."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(_PATIENCE_S)
    try:
        connection.connect(str(run_dir / NAME))
        if peer_user(connection) != os.geteuid():
            raise PermissionError(1, "it belongs to another account")
        _, descriptors, _, _ = socket.recv_fds(connection, 1, 1)
        (door,) = descriptors
    except (OSError, ValueError) as error:
        connection.close()
        raise SetupError("The front door is not there: its process does not answer.", code="setup.door") from error
    connection.settimeout(None)
    return socket.socket(fileno=door), connection


def end_with(connection: socket.socket) -> None:
    """From now on end when the door's process does: nobody could come any more. Starts a thread, so the seal must be closed."""
    threading.Thread(target=_wait, args=(connection,), name="door-watch", daemon=True).start()


def _given(connection: socket.socket, door: socket.socket) -> socket.socket:
    connection.settimeout(_PATIENCE_S)
    if peer_user(connection) != os.geteuid():
        connection.close()
        raise PermissionError
    socket.send_fds(connection, [b"d"], [door.fileno()])
    return connection


def _wait(connection: socket.socket) -> None:
    with closing(connection), suppress(OSError):
        connection.recv(1)
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
