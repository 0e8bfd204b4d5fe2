"""A whole appliance for a measurement: started as a person would, signed in, stopped again."""

from __future__ import annotations

import http.cookiejar
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
MODELS = ROOT / ".models"
NAME, PASSWORD = "bench", "a passphrase for measuring"


class Client:
    """A signed-in browser without a screen."""

    def __init__(self, url: str) -> None:
        self.url = url
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self._opener = urllib.request.build_opener(cookies)
        self._csrf = ""

    def sign_in(self) -> None:
        self.call("POST", "/api/sessions", {"name": NAME, "password": PASSWORD})
        with self.open("GET", "/chat") as page:
            found = re.search(r'name="csrf-token" content="([^"]+)"', page.read().decode())
        assert found, "the page carries no CSRF token"
        self._csrf = found.group(1)

    def open(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Any:
        request = urllib.request.Request(self.url + path, data=body, method=method, headers=headers)
        request.add_header("Origin", self.url)
        request.add_header("X-CSRF-Token", self._csrf)
        return self._opener.open(request, timeout=600)

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        with self.open(method, path, data, **{"Content-Type": "application/json"}) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def events(self, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Server-sent events as (name, data), as they arrive."""
        with self.open("GET", path) as stream:
            name = ""
            for line in stream:
                field, _, value = line.decode().rstrip("\r\n").partition(": ")
                if field == "event":
                    name = value
                elif field == "data":
                    yield name, json.loads(value)


@contextmanager
def running_box(files: tuple[Path, ...] = ()) -> Iterator[tuple[Client, Path]]:
    """The appliance on a free loopback port with `files` indexed; the client and the data directory."""
    directory = Path(tempfile.mkdtemp(prefix="cl-"))
    command = [str(Path(sys.executable).parent / "cloister")]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    try:
        (directory / "models").symlink_to(MODELS)
        init = [*command, "init", "--data", str(directory), "--admin", NAME, "--password-stdin"]
        subprocess.run(init, input=PASSWORD + "\n", text=True, check=True, capture_output=True)
        if files:
            ingest = [*command, "ingest", *map(str, files), "--data", str(directory)]
            subprocess.run(ingest, check=True, capture_output=True)
        up = [*command, "up", "--data", str(directory), "--port", str(port), "--json"]
        with subprocess.Popen(up, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as box:
            try:
                assert box.stdout is not None
                started = json.loads(box.stdout.readline())
                assert "url" in started, started
                client = Client(started["url"])
                client.sign_in()
                yield client, directory
            finally:
                box.send_signal(signal.SIGTERM)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
