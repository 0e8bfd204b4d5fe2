"""A web server on loopback that does what a test tells it, misbehaviour included."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Asked:
    """One request as it arrived, `body` decoded where it is JSON; `gone` is set once the caller has left."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any
    raw: bytes
    gone: threading.Event = field(default_factory=threading.Event)


class Answer:
    """What a script answers with."""

    def __init__(self, handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        self._handler, self._asked = handler, asked

    def json(self, value: Any, status: int = 200) -> None:
        body = json.dumps(value).encode()
        self._head(status, {"content-type": "application/json", "content-length": str(len(body))})
        self._handler.wfile.write(body)

    def redirect(self, to: str) -> None:
        self._head(302, {"location": to, "content-length": "0"})

    def begin(self, kind: str = "application/x-ndjson", status: int = 200) -> None:
        self._head(status, {"content-type": kind, "transfer-encoding": "chunked"})
        self._handler.wfile.flush()

    def send(self, data: bytes) -> None:
        self._handler.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self._handler.wfile.flush()

    def line(self, value: Any) -> None:
        self.send(json.dumps(value).encode() + b"\n")

    def event(self, value: Any) -> None:
        self.send(b"data: " + (value if isinstance(value, bytes) else json.dumps(value).encode()) + b"\n\n")

    def end(self) -> None:
        self._handler.wfile.write(b"0\r\n\r\n")

    def break_off(self) -> None:
        self._handler.connection.shutdown(socket.SHUT_RDWR)

    def wait_until_left(self, limit_s: float = 10.0) -> bool:
        """Say nothing until the caller leaves; whether it did."""
        self._handler.connection.settimeout(limit_s)
        try:
            left = self._handler.connection.recv(1) == b""
        except TimeoutError:
            left = False
        except OSError:
            left = True
        if left:
            self._asked.gone.set()
        return left

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self._handler.send_response(status)
        for name, value in headers.items():
            self._handler.send_header(name, value)
        self._handler.end_headers()


Script = Callable[[Asked, Answer], None]


class ScriptedServer:
    """Runs `script` for each request, and keeps what was asked."""

    def __init__(self, script: Script, tls: ssl.SSLContext | None = None) -> None:
        self.asked: list[Asked] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.body()
                headers = {name.lower(): value for name, value in self.headers.items()}
                asked = Asked(self.command, self.path, headers, _decoded(body), body)
                outer.asked.append(asked)
                self.close_connection = True
                script(asked, Answer(self, asked))

            def body(self) -> bytes:
                if self.headers.get("transfer-encoding") != "chunked":
                    return self.rfile.read(int(self.headers.get("content-length", 0)))
                found = b""
                while size := int(self.rfile.readline(), 16):
                    found += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return found

            do_GET = do_POST = do_DELETE = answer

            def log_message(self, *_: Any) -> None: ...

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: Any) -> None: ...

        self._server = Server(("127.0.0.1", 0), Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port: int = self._server.server_address[1]

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def paths(self) -> list[str]:
        return [asked.path for asked in self.asked]

    @contextmanager
    def running(self) -> Iterator[ScriptedServer]:
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()


def _decoded(body: bytes) -> Any:
    """JSON where it is JSON, else the bytes."""
    try:
        return json.loads(body) if body else None
    except ValueError:
        return body
