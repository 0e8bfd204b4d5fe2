"""An Ollama at a named destination: the same words as to one of this machine, each of them through the gate and on record."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ollama import ResponseError

from appliance.audit.events import ResourceRef
from appliance.egress.calls import OWN_WORDS, Call
from appliance.egress.destinations import Purpose
from appliance.errors import Unavailable
from appliance.inference.lent import Lent
from appliance.inference.models import CompletionRequest, Model, PromptMessage
from appliance.inference.ollama.client import SILENCE_S, translated
from appliance.inference.ollama.models import check_unchanged
from appliance.inference.ollama.names import check_local, checked_name
from appliance.inference.ollama.runtime import OllamaRuntime
from appliance.inference.runtime import Runtime

if TYPE_CHECKING:
    from appliance.egress.gate import Gate, Reply

_OK = 200
_SHORT_S = 20.0
_ANSWER_LIMIT_BYTES = 16_000_000
_CODES = {"egress.silent": "inference.timeout", "egress.died": "inference.died", "egress.too_large": "inference.died"}


class GatedClient:
    """Speaks to the Ollama at one destination. Prompts go by the classification they are given; nothing else holds any text."""

    def __init__(self, gate: Gate, destination: str, *, person: str = "") -> None:
        """`person` (a principal's id) is on whose behalf it is asked about its models."""
        self._gate, self._destination, self._person = gate, destination, person

    def shown(self, name: str) -> dict[str, Any]:
        self.tags()  # the gate lets no name out that the server has not said itself
        found = self._asked("/api/show", name, {"model": checked_name(name)})
        check_local(name, found)
        return found

    def tags(self) -> list[dict[str, Any]]:
        with translated():
            listed: list[dict[str, Any]] = self._asked("/api/tags")["models"]
        return listed

    def running(self) -> list[dict[str, Any]]:
        with translated():
            found: list[dict[str, Any]] = self._asked("/api/ps")["models"]
        return found

    def version(self, limit_s: float) -> str:
        with translated():
            return str(self._asked("/api/version", silence_s=limit_s)["version"])

    def chat_pieces(self, body: Mapping[str, Any], request: CompletionRequest, classification: str) -> Generator[dict[str, Any]]:
        about = (ResourceRef("conversation", request.conversation),) if request.conversation else ()
        call = Call(
            self._destination,
            Purpose.INFERENCE,
            "/api/chat",
            json.dumps({**body, "stream": True}).encode(),
            classification=classification,
            person=request.person,
            about=about,
            limit_bytes=_ANSWER_LIMIT_BYTES,
            silence_s=SILENCE_S,
            deadline_s=request.deadline_s,
            cancelled=request.cancelled,
        )
        with self._opened(call, str(body["model"])) as reply, translated(str(body["model"])):
            for line in reply.lines():
                piece = json.loads(line)
                if "error" in piece:
                    raise ResponseError(str(piece["error"]))
                yield piece

    def unload(self, name: str, limit_s: float) -> None:
        """The server is not ours, and others may use its model."""

    def close(self) -> None:
        """Nothing is kept open."""

    def _asked(
        self, path: str, name: str = "", body: Mapping[str, Any] | None = None, silence_s: float = _SHORT_S
    ) -> dict[str, Any]:
        written = b"" if body is None else json.dumps(body).encode()
        words = OWN_WORDS if body is not None else ""
        call = Call(
            self._destination,
            Purpose.INFERENCE,
            path,
            written,
            classification=words,
            person=self._person,
            limit_bytes=_ANSWER_LIMIT_BYTES,
            silence_s=silence_s,
        )
        with self._opened(call, name) as reply, translated(name):
            found: dict[str, Any] = json.loads(reply.read())
        return found

    @contextmanager
    def _opened(self, call: Call, name: str) -> Iterator[Reply]:
        """Codes of the gate become ours, but for the one of an interruption, which the runtime knows."""
        try:
            with self._gate.open(call) as reply, translated(name):
                if reply.status != _OK:
                    raise ResponseError(_said(reply.read()), reply.status)
                yield reply
        except Unavailable as error:
            code = error.stable_code
            if not code.startswith("egress.") or code == "egress.interrupted":
                raise
            raise Unavailable(error.sentence, code=_CODES.get(code, "inference.unreachable")) from error


class GatedRuntime(OllamaRuntime):
    """As an Ollama of this machine; its prompts go by what `under` gives; without a classification the gate refuses them."""

    def under(self, classification: str) -> Runtime:
        """The same model, for prompts that hold nothing above this classification."""
        return Lent(self, classification)

    def count(self, messages: Sequence[PromptMessage], _classification: str) -> int:
        return self.count_tokens(messages)


def load_gated(model: Model, name: str, gate: Gate, destination: str, context_tokens: int) -> Runtime:
    """Raises what `OllamaRuntime` raises, and `Denied` (`egress.refused`)."""
    client = GatedClient(gate, destination)
    check_unchanged(client, name, model.sha256)
    return GatedRuntime(model, name, client, context_tokens)


def _said(body: bytes) -> str:
    try:
        found = json.loads(body)
    except ValueError:
        return body[:200].decode(errors="replace")
    return str(found.get("error", found) if isinstance(found, dict) else found)
