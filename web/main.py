"""The web process: `python -m web.main --data DIR (--fd N | --door | --host H --port P)`.

`--fd` is a listening socket inherited from whoever started us, `--door` fetches one from the door's process: inside the seal
this process can answer, and cannot call.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

import uvicorn
from litestar import Litestar

from appliance.bootstrap import open_appliance
from appliance.errors import SetupError
from appliance.inference.telemetry import silence
from appliance.settings import Settings, load_settings
from appliance.supervisor.door import end_with, take_door
from appliance.supervisor.names import WEB
from appliance.supervisor.sealing import seal_own
from web.app import create_app
from web.connections import SeldomFull, allow_connections, timed_connections
from workers.logs import configure_logs

_EXIT_REFUSED = 2
_GRACE_S = 3
_KEEP_ALIVE_S = 65
_BACKLOG = 256
_PAGE_CACHE_MB = 8  # the search that wants a large one runs elsewhere


class _Server(uvicorn.Server):
    """Ends open event streams first: uvicorn alone would wait for readers that never leave."""

    def __init__(self, config: uvicorn.Config, closing: asyncio.Event) -> None:
        super().__init__(config)
        self._closing = closing

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._closing.set()
        await super().shutdown(sockets)


def make_server(app: Litestar) -> uvicorn.Server:
    """A server for `app`; `run(sockets=[...])` answers until it is told to stop."""
    config = uvicorn.Config(
        app,
        http=timed_connections(),
        backlog=_BACKLOG,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="on",
        timeout_graceful_shutdown=_GRACE_S,
        timeout_keep_alive=_KEEP_ALIVE_S,
        # addresses that a client claims in a header are not believed
        proxy_headers=False,
    )
    return _Server(config, app.state.closing)


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(0)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m web.main", description="The appliance's front door.")
    parser.add_argument("--data", type=Path, required=True, help="data directory")
    parser.add_argument("--fd", type=int, help="inherited listening socket")
    parser.add_argument("--door", action="store_true", help="ask the door's process for its listening socket")
    parser.add_argument("--host", help="address to listen on, where no socket is inherited")
    parser.add_argument("--port", type=int, help="port to listen on, where no socket is inherited")
    given = parser.parse_args(arguments)
    configure_logs("web")
    # its warnings tell what visitors do, as often as they like to do it
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    logging.getLogger("asyncio").addFilter(SeldomFull())
    allow_connections()
    try:
        silence()
        settings = load_settings(given.data, host=given.host, port=given.port)
        appliance = open_appliance(settings, page_cache_mb=_PAGE_CACHE_MB)
        listener, giver = _listener(given, settings)
        # from here on it can answer, and not call
        seal_own(settings, WEB)
        if giver is not None:
            end_with(giver)
    except SetupError as error:
        sys.stderr.write(f"{error.sentence}\n")
        return _EXIT_REFUSED
    try:
        server = make_server(create_app(appliance))
        # built now: a part that cannot be built keeps the door shut, and nobody's first request waits for it
        _ = appliance.chat, appliance.documents
        # uvicorn repeats the signal once it has finished: then it is an ordinary end, with an exit code of 0
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _leave)
        server.run(sockets=[listener])
    finally:
        appliance.close()
    return 0


def _listener(given: argparse.Namespace, settings: Settings) -> tuple[socket.socket, socket.socket | None]:
    """With the connection to whoever gave it, where that is the door's process."""
    if given.door:
        return take_door(settings.run_dir)
    return socket.socket(fileno=given.fd) if given.fd is not None else _listen(settings.host, settings.port), None


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise SetupError(f"Port {port} on {host} cannot be used ({os.strerror(error.errno or 0)}).", code="setup.port") from error


if __name__ == "__main__":
    sys.exit(main())
