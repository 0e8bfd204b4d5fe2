"""The `ollama` package's client, held to this machine: no environment, no redirects, errors of ours."""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any, Protocol, cast

import httpx
from ollama import Client, ResponseError

from appliance.egress.interruption import Interruption
from appliance.errors import ApplianceError, InvalidInput, Unavailable
from appliance.inference.models import CompletionRequest
from appliance.inference.ollama.names import check_local, checked_address, checked_name

SILENCE_S = 300.0
"""Longest wait for the next word. Ollama says nothing while it loads a model and while it reads a prompt."""

_EMBEDDING_S = 60.0
"""Longest wait for the vectors of a few texts: whoever searches waits for them, and others behind that one."""

KEEP_ALIVE = "30m"
"""How long the server keeps the model in memory after an answer."""

_CONNECT_S = 5.0
_NOT_FOUND = 404
_BUSY = 503
_TOO_LONG = re.compile(r"context (?:length|size|window)|longer than the context|exceed\w* .*context|input length", re.IGNORECASE)
_MEMORY = re.compile(r"more system memory|out of memory|unable to load|failed to load|error loading", re.IGNORECASE)


class AnyClient(Protocol):
    """What answering needs of an Ollama, wherever it is. Raises errors of ours only."""

    def shown(self, name: str) -> dict[str, Any]: ...

    def tags(self) -> list[dict[str, Any]]: ...

    def running(self) -> list[dict[str, Any]]: ...

    def version(self, limit_s: float) -> str: ...

    def chat_pieces(
        self, body: Mapping[str, Any], request: CompletionRequest, classification: str, /
    ) -> Generator[dict[str, Any]]: ...

    def unload(self, name: str, limit_s: float) -> None: ...

    def close(self) -> None: ...


class LocalClient(Client):
    """Speaks to one Ollama on this machine. Safe to share between threads."""

    def __init__(self, address: str, *, silence_s: float = SILENCE_S) -> None:
        base, socket = checked_address(address)
        super().__init__(
            base,
            follow_redirects=False,
            trust_env=False,
            timeout=httpx.Timeout(silence_s, connect=_CONNECT_S),
            # each call has its own connection, so that ending it touches no other
            transport=httpx.HTTPTransport(uds=socket, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0)),
        )
        # the package takes a key for Ollama's cloud from the environment
        self._client.headers.pop("authorization", None)

    def shown(self, name: str) -> dict[str, Any]:
        """Everything the server says of a model. Raises `Denied` for one that computes elsewhere."""
        with translated(name):
            found: dict[str, Any] = self._raw("POST", "/api/show", json={"model": checked_name(name)}).json()
        check_local(name, found)
        return found

    def tags(self) -> list[dict[str, Any]]:
        """Every model the server has, those that compute elsewhere included."""
        with translated():
            found: list[dict[str, Any]] = self._raw("GET", "/api/tags").json()["models"]
        return found

    def version(self, limit_s: float) -> str:
        """The server's version: the cheapest question there is."""
        with translated():
            return str(self._raw("GET", "/api/version", timeout=limit_s).json()["version"])

    def running(self) -> list[dict[str, Any]]:
        """The models in its memory."""
        with translated():
            found: list[dict[str, Any]] = self._raw("GET", "/api/ps").json()["models"]
        return found

    def chat_pieces(
        self, body: Mapping[str, Any], request: CompletionRequest, _classification: str = ""
    ) -> Generator[dict[str, Any]]:
        """The pieces of an answer as they come; over once the request is cancelled or its time is up.

        `Client.chat` cannot be told to refuse rather than truncate, so not that. Raises `Unavailable` (`egress.interrupted`).
        """
        interruption = Interruption(request.cancelled, request.deadline_s)
        given = {**body, "stream": True}
        pieces = self._request(dict, "POST", "/api/chat", json=given, stream=True, extensions=interruption.extensions)
        with interruption.watching(), closing(cast("Generator[dict[str, Any]]", pieces)):
            try:
                with translated(str(body["model"])):
                    for piece in pieces:
                        if interruption.due:
                            break
                        yield piece
            except Unavailable:
                if not interruption.due:
                    raise
            if interruption.due:
                raise Unavailable("The answer was stopped.", code="egress.interrupted")

    def vectors(self, name: str, texts: Sequence[str]) -> object:
        """What an embedding model makes of texts. Raises `InvalidInput` (`inference.context_overflow`) rather than cut one."""
        given = {"model": name, "input": list(texts), "truncate": False, "keep_alive": KEEP_ALIVE}
        with translated(name):
            return self._raw("POST", "/api/embed", json=given, timeout=_EMBEDDING_S).json()["embeddings"]

    def close(self) -> None:
        self._client.close()

    def unload(self, name: str, limit_s: float) -> None:
        with translated(name):
            self._raw("POST", "/api/generate", json={"model": name, "keep_alive": 0}, timeout=limit_s)

    def _raw(self, method: str, path: str, **given: Any) -> Any:
        return self._request_raw(method, path, **given)  # type: ignore[no-untyped-call]


@contextmanager
def translated(name: str = "") -> Iterator[None]:
    """Errors of the package, of httpx and of malformed answers as errors of ours."""
    try:
        yield
    except ResponseError as error:
        raise _said(error, name) from error
    except (ConnectionError, httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise Unavailable("Ollama does not answer on this machine.", code="inference.unreachable") from error
    except httpx.TimeoutException as error:
        raise Unavailable("Ollama has gone silent.", code="inference.timeout") from error
    except (httpx.HTTPError, json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise Unavailable("Ollama broke off in the middle of its answer.", code="inference.died") from error


def _said(error: ResponseError, name: str) -> ApplianceError:
    said = error.error[:200].strip().rstrip(".") + "."
    if error.status_code == _NOT_FOUND:
        return Unavailable(f"Ollama has no model named {name}.", code="inference.no_model")
    if error.status_code == _BUSY:
        return Unavailable("Ollama is busy with other questions. Please try again in a moment.", code="inference.busy")
    if _TOO_LONG.search(said):
        return InvalidInput("Ollama says that the prompt is too long for the model.", code="inference.context_overflow")
    if _MEMORY.search(said):
        return Unavailable(f"Ollama could not load {name}: {said}", code="inference.load_failed")
    if 400 <= error.status_code < 500:
        return InvalidInput(f"Ollama refused the request: {said}", code="inference.unsupported")
    return Unavailable(f"Ollama failed: {said}", code="inference.died")
