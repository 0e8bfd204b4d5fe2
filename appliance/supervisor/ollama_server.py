"""Our own Ollama: which program, how it is started, and the one way to it: a UNIX socket in its directory.

`python -m appliance.supervisor.ollama_server --program FILE --directory DIR --context N --at-once N` starts it on a free port of
loopback and hands on what arrives at the socket. Ollama listens on TCP only, and the other processes of the box can open no such
socket: so they need none, and their filter stays as it is. The program is not ours: it is given nothing of the data, and nothing
of the environment.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from appliance.egress.seal.families import IP_ONLY, restrict_families
from appliance.errors import SetupError
from appliance.inference.ollama_program import find_ollama, serving
from appliance.lifeline import die_with_parent
from appliance.settings import Settings
from appliance.supervisor.signals import Signals

FIND = "find"
"""The setting `ollama_program` that takes the program from the usual places."""

_LOOK_S = 0.2
_END_S = 5.0
_MOST_CONNECTIONS = 64
_PIECE_BYTES = 65_536
_LONGEST_PATH_BYTES = 100
_ANSWER_LIMIT_S = 1.0


def ollama_program(settings: Settings) -> Path | None:
    """The program to start; None where the settings ask for none. Raises `SetupError` (`setup.ollama_missing`)."""
    if not settings.ollama_program:
        return None
    found = find_ollama() if settings.ollama_program == FIND else Path(settings.ollama_program)
    if found is None or not found.is_file() or not os.access(found, os.X_OK):
        where = "on this machine" if found is None else f"at {found}"
        raise SetupError(
            f"The setting ollama_program asks for an Ollama, and there is none {where}: install it, or leave the setting empty.",
            code="setup.ollama_missing",
        )
    return found.resolve()


def program_places(program: Path) -> tuple[Path, ...]:
    """Where the program and its libraries lie (bin/ollama, lib/ollama)."""
    return (program.parent, program.parent.parent / "lib" / "ollama")


def ollama_answers(path: Path) -> bool:
    """Whether the server answers at its socket."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_ANSWER_LIMIT_S)
            connection.connect(str(path))
            connection.sendall(b"GET /api/version HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return connection.recv(64).split(b" ")[1:2] == [b"200"]
    except OSError:
        return False


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until SIGTERM; exit code 1, and a sentence, where Ollama ended by itself."""
    parser = argparse.ArgumentParser(prog="python -m appliance.supervisor.ollama_server", description="Models in an Ollama.")
    parser.add_argument("--program", type=Path, required=True)
    parser.add_argument("--directory", type=Path, required=True, help="where it keeps its models; the socket lies there, too")
    parser.add_argument("--context", type=int, required=True)
    parser.add_argument("--at-once", type=int, required=True)
    given = parser.parse_args(arguments)
    port = _free_port()
    started = serving(given.program, given.directory, port, context_tokens=given.context, answers_at_once=given.at_once)
    parent = os.getpid()
    try:
        Path(started.environment["TMPDIR"]).mkdir(mode=0o700, exist_ok=True)
        listener = bind_socket(given.directory / "ollama.sock")
        process = subprocess.Popen(  # noqa: S603 - the program the administrator chose
            started.command,
            env=dict(started.environment),
            stdin=subprocess.DEVNULL,
            cwd=given.directory,
            preexec_fn=lambda: _restrict(parent),  # noqa: PLW1509 - one thread only
        )
    except (OSError, SetupError) as error:
        sys.stderr.write(f"Ollama cannot be started: {error}\n")
        return 1
    with Signals(also=(signal.SIGCHLD,)) as signals, listener:
        _relay(listener, port, process, signals)
        if signals.ending:
            _end(process)
            return 0
    sys.stderr.write(f"Ollama ended by itself (exit code {process.wait()}).\n")
    return 1


def _restrict(parent: int) -> None:
    """For the program itself: it listens on loopback, and has no use for UNIX sockets.

    With them it could speak to our queue and our gate, which know their callers by their account alone. Where the kernel has no
    filter, the layer `families` is told to be missing.
    """
    die_with_parent(parent)
    restrict_families(IP_ONLY)


def bind_socket(path: Path) -> socket.socket:
    """A listening socket that nobody but our own account may open. Raises `SetupError`, `OSError`."""
    if len(bytes(path)) > _LONGEST_PATH_BYTES:
        raise SetupError("the data directory's path is too long for a socket inside it.", code="setup.path_too_long")
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(mask)
    listener.listen(_MOST_CONNECTIONS)
    return listener


def _relay(listener: socket.socket, port: int, process: subprocess.Popen[bytes], signals: Signals) -> None:
    """Until the end is asked for, or Ollama has ended."""
    free = threading.BoundedSemaphore(_MOST_CONNECTIONS)
    while process.poll() is None:
        if signals.wait(0):
            return
        if not select.select([listener], [], [], _LOOK_S)[0]:
            continue
        client, _ = listener.accept()
        if free.acquire(blocking=False):
            threading.Thread(target=_serve, args=(client, port, free), daemon=True).start()
        else:
            client.close()


def _serve(client: socket.socket, port: int, free: threading.BoundedSemaphore) -> None:
    """One connection, both ways. Either side's end is the end of both: our clients leave only when they want no more."""
    try:
        with client, socket.create_connection(("127.0.0.1", port)) as server:
            back = threading.Thread(target=_copy, args=(server, client), daemon=True)
            back.start()
            _copy(client, server)
            back.join()
    except OSError:
        pass  # Ollama does not listen yet, or no more: the client sees a connection that ends
    finally:
        free.release()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(_PIECE_BYTES):
            target.sendall(piece)
    for each in (source, target):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


if __name__ == "__main__":
    sys.exit(main())
