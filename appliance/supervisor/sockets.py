"""Where the box listens: the front door and the socket of Redis."""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path

from appliance.errors import SetupError
from appliance.settings import Settings

_PATH_LIMIT_BYTES = 100
_BACKLOG = 256
_ADDRESSES = {"localhost": "127.0.0.1"}
_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared with, not bound to


def socket_path(settings: Settings) -> Path:
    """The UNIX socket of our own Redis. Raises `SetupError` where the kernel could not hold its path (108 bytes, unix(7))."""
    path = settings.run_dir / "redis.sock"
    length = len(bytes(path))
    if length > _PATH_LIMIT_BYTES:
        raise SetupError(
            f"The data directory's path is {length - _PATH_LIMIT_BYTES} bytes too long for the socket inside it: "
            "choose a shorter one.",
            code="setup.path_too_long",
            path=str(settings.data_dir),
        )
    return path


def bind_private(path: Path) -> socket.socket:
    """A UNIX socket that listens; nobody but our own account may connect. Raises `SetupError`."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise SetupError(f"{path} cannot be made: {error.strerror or error}.", code="setup.unwritable") from error
    return listener


def bind_front_door(host: str, port: int) -> socket.socket:
    """A listening TCP socket, bound before anything else starts. Raises `SetupError` for a busy port or a foreign address.

    `host` is an address or `localhost`: looking up any other name would ask the network.
    """
    address = _ADDRESSES.get(host, host)
    try:
        family = {4: socket.AF_INET, 6: socket.AF_INET6}[ipaddress.ip_address(address).version]
    except ValueError:
        raise SetupError(f"{host} is not an address: give one like 127.0.0.1 or 0.0.0.0.", code="setup.host") from None
    door = socket.socket(family, socket.SOCK_STREAM)
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        door.bind((address, port))
        door.listen(_BACKLOG)
    except OSError as error:
        door.close()
        reason = error.strerror or str(error)
        raise SetupError(
            f"Cannot listen on {host} port {port}: {reason}. Choose another with --port.",
            code="setup.port",
            port=port,
        ) from error
    except OverflowError as error:
        door.close()
        raise SetupError(f"There is no port {port}: choose one from 1 to 65535.", code="setup.port", port=port) from error
    return door


def door_answers(host: str, port: int, timeout_s: float = 1.0) -> bool:
    """Whether the web process answers `/health` with 200 through the front door."""
    address = _ADDRESSES.get(host, host)
    try:
        with socket.create_connection((_WILDCARDS.get(address, address), port), timeout=timeout_s) as connection:
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return connection.recv(64).split(b" ")[1:2] == [b"200"]
    except OSError:
        return False
