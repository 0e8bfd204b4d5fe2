"""The few words of Redis that the supervisor speaks.

The usual client costs 38 MB of resident memory; for our own server on its UNIX socket, these lines do (RESP 2, commands with
bulk-string and status replies only). An existing server, which may want TLS and a password, gets the usual client.
"""

from __future__ import annotations

import socket

from appliance.settings import Settings
from appliance.supervisor.sockets import socket_path


def command(settings: Settings, *words: str) -> bytes | None:
    """Run one command. Raises `OSError` where the server is away or refuses."""
    return _through_client(settings, words) if settings.redis_url else _through_socket(str(socket_path(settings)), words)


def answers(settings: Settings) -> bool:
    """Whether the server is there and ready."""
    try:
        return command(settings, "PING") == b"PONG"
    except OSError:
        return False


def _through_socket(path: str, words: tuple[str, ...]) -> bytes | None:
    encoded = [word.encode() for word in words]
    request = b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in encoded)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(2.0)
        connection.connect(path)
        connection.sendall(request)
        with connection.makefile("rb") as reply:
            line = reply.readline()
            if line[:1] == b"+":
                return line[1:].strip()
            if line[:1] == b"$":
                size = int(line[1:])
                return reply.read(size) if size >= 0 else None
            raise OSError(f"Redis refused {words[0]}: {line[1:].decode(errors='replace').strip() or 'no reply'}")


def _through_client(settings: Settings, words: tuple[str, ...]) -> bytes | None:
    import redis

    try:
        with redis.Redis.from_url(settings.redis_url, socket_timeout=2.0, socket_connect_timeout=2.0) as client:
            given = client.execute_command(*words)
    except redis.RedisError as error:
        raise OSError(f"Redis did not answer: {type(error).__name__}") from error
    if isinstance(given, bool):
        return b"PONG" if words[0] == "PING" else b"OK"
    return given if isinstance(given, bytes) or given is None else str(given).encode()
