"""Somebody with a browser, without the browser: signs in at the front door, uploads, asks."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

from appliance.errors import Unavailable

_PATIENCE_S = 120
_TOKEN = re.compile(r'name="csrf-token" content="([^"]+)"')


class Visitor:
    """One session. Every call raises `Unavailable` (`proof.refused`) where the box does not do it."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._url, self._host, self._port = url, str(parts.hostname), int(parts.port or 80)
        self._cookie = self._token = ""

    def set_up(self, token: str, name: str, password: str) -> None:
        """Become the first administrator, by the one-time link."""
        self._enter("/api/setup", {"token": token, "name": name, "password": password})

    def sign_in(self, name: str, password: str) -> None:
        self._enter("/api/sessions", {"name": name, "password": password})

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """JSON there and back; None where nothing comes back."""
        content = b"" if body is None else json.dumps(body).encode()
        answer = self.fetch(method, path, content, "application/json" if content else "")
        return json.loads(answer) if answer else None

    def upload(self, collection_id: str, name: str, content: bytes) -> None:
        self.fetch("POST", f"/api/collections/{collection_id}/documents?name={quote(name)}", content, "application/octet-stream")

    def fetch(self, method: str, path: str, content: bytes = b"", kind: str = "") -> bytes:
        connection = self._connected()
        try:
            return self._exchange(connection, method, path, content, kind).read()
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(f"{method} {path} was not answered: {error!r}.", code="proof.refused") from error
        finally:
            connection.close()

    def answer(self, message_id: str) -> dict[str, Any]:
        """The finished answer, read as a browser reads it: delta by delta."""
        connection = self._connected()
        try:
            response = self._exchange(connection, "GET", f"/api/messages/{message_id}/events", b"", "")
            for name, data in _events(response):
                if name in {"done", "failed"}:
                    return dict(json.loads(data))
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(f"The answer broke off: {error!r}.", code="proof.refused") from error
        finally:
            connection.close()
        raise Unavailable("The answer never ended.", code="proof.refused")

    def _connected(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self._host, self._port, timeout=_PATIENCE_S)

    def _exchange(
        self, connection: http.client.HTTPConnection, method: str, path: str, content: bytes, kind: str
    ) -> http.client.HTTPResponse:
        headers = {"Origin": self._url, "X-CSRF-Token": self._token, "Cookie": self._cookie}
        connection.request(method, path, content or None, headers | ({"Content-Type": kind} if kind else {}))
        response = connection.getresponse()
        if cookie := response.getheader("Set-Cookie"):
            self._cookie = cookie.partition(";")[0]
        if response.status >= 400:
            said = response.read(300).decode(errors="replace")
            raise Unavailable(f"{method} {path} was refused with {response.status}: {said}", code="proof.refused")
        return response

    def _enter(self, path: str, body: dict[str, str]) -> None:
        home = self.call("POST", path, body)["home"]
        found = _TOKEN.search(self.fetch("GET", home).decode())
        self._token = found.group(1) if found else ""


def _events(lines: http.client.HTTPResponse) -> Iterator[tuple[str, str]]:
    name = ""
    for line in lines:
        field, _, value = line.decode().rstrip("\r\n").partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            yield name, value
