"""The web application behind a port of this machine, in a thread, and waiting for what happens in another."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from appliance.bootstrap import Appliance
from web.app import create_app
from web.main import make_server


def wait_until(true: Callable[[], object], seconds: float = 15) -> None:
    limit = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < limit, "it did not happen"
        time.sleep(0.02)


@contextmanager
def serving(appliance: Appliance, queue: object) -> Iterator[str]:
    """Its address, while it serves."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = make_server(create_app(appliance, queue=queue))  # type: ignore[arg-type]
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    wait_until(lambda: server.started)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(20)
