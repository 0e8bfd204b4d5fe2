"""Chat completions as OpenAI-style servers write and read them, and what each dialect adds. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from appliance.egress.destinations import Dialect
from appliance.errors import ApplianceError, InvalidInput, Unavailable
from appliance.inference.models import CompletionRequest, FinishReason, PromptMessage, Usage

_REASONS = {"stop": FinishReason.STOP, "length": FinishReason.LENGTH}
_TOO_LONG = re.compile(r"context[_ ](?:length|size|window)|maximum context|exceed\w* .*context", re.IGNORECASE)
_NOT_LET_IN = (401, 403)
_NOT_FOUND = 404
_BUSY = (429, 503)
# some models otherwise write down what they think before they answer
_TEMPLATE = {"chat_template_kwargs": {"enable_thinking": False}}

_THOUGHT, _THOUGHT_END = "<think>", "</think>"


@dataclass(frozen=True, slots=True)
class Piece:
    """One event of a streamed answer."""

    text: str = ""
    reason: FinishReason | None = None
    usage: Usage | None = None


class Thoughts:
    """Takes what a model thought aloud out of the beginning of an answer: a server may know no way to ask it not to."""

    def __init__(self) -> None:
        self._held = ""
        self._inside = self._over = False

    def without(self, text: str) -> str:
        """What of the next piece is answer; what may still become the mark of a thought is held."""
        if self._over:
            return text
        self._held += text
        begun = self._held.lstrip()
        if not self._inside and begun.startswith(_THOUGHT):
            self._inside = True
        if not self._inside:
            return "" if _THOUGHT.startswith(begun) else self.rest()
        answer = begun.partition(_THOUGHT_END)[2].lstrip()
        if not answer:
            return ""
        self._over = True
        return answer

    def rest(self) -> str:
        """What was held of an answer that ends, or has begun."""
        held, self._held, self._over = "" if self._inside else self._held, "", True
        return held


def completion_body(request: CompletionRequest, name: str, dialect: Dialect, *, stream: bool = True) -> bytes:
    """Raises `InvalidInput` (`inference.unsupported`) for a constraint or a rule that the dialect has no word for."""
    body: dict[str, Any] = {
        "model": name,
        "messages": written(request.messages),
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "seed": request.seed,
        "stream": stream,
        **template_options(dialect),
    }
    if stream:
        body["stream_options"] = {"include_usage": True}
    return json.dumps({**body, **_sampling(request, dialect), **_constraint(request, dialect)}).encode()


def written(messages: Sequence[PromptMessage]) -> list[dict[str, str]]:
    return [{"role": message.role, "content": message.text} for message in messages]


def template_options(dialect: Dialect) -> dict[str, Any]:
    """What the chat template is told, where the dialect can tell it anything."""
    return {} if dialect is Dialect.OPENAI else dict(_TEMPLATE)


def _sampling(request: CompletionRequest, dialect: Dialect) -> dict[str, Any]:
    """The rules under the names of the dialect. Raises `InvalidInput` for one that it has no name for."""
    names: dict[str, str | None] = dict.fromkeys(("top_p", "presence_penalty", "frequency_penalty"))
    if dialect is not Dialect.OPENAI:
        names |= dict.fromkeys(("top_k", "min_p"))
    if dialect is Dialect.VLLM:
        names["repeat_penalty"] = "repetition_penalty"
    if dialect is Dialect.LLAMA_SERVER:
        names |= dict.fromkeys(("typical_p", "repeat_penalty", "repeat_last_n"))
    unknown = request.sampling.given().keys() - names
    if unknown:
        raise InvalidInput(f"This server does not know the parameter {min(unknown)}.", code="inference.unsupported")
    return {names[name] or name: value for name, value in request.sampling.given().items()}


def _constraint(request: CompletionRequest, dialect: Dialect) -> dict[str, Any]:
    if not request.grammar and not request.json_schema:
        return {}
    if dialect is Dialect.OPENAI:
        raise InvalidInput("This server cannot hold an answer to a grammar or a schema.", code="inference.unsupported")
    if request.grammar:
        return {"structured_outputs": {"grammar": request.grammar}} if dialect is Dialect.VLLM else {"grammar": request.grammar}
    try:
        schema = json.loads(request.json_schema)
    except json.JSONDecodeError as error:
        raise InvalidInput("The JSON schema for the answer is not JSON.", code="inference.unsupported") from error
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}}


def pieces(lines: Iterable[bytes]) -> Iterator[Piece]:
    """The events of a stream. Raises `Unavailable` for one that is broken, or that reports an error."""
    for line in lines:
        if not line.startswith(b"data:"):
            continue
        data = line.removeprefix(b"data:").strip()
        if data == b"[DONE]":
            return
        yield _piece(decoded(data))


def _piece(event: Mapping[str, Any]) -> Piece:
    if event.get("error"):
        raise failure(int(event["error"].get("code") or 0) if _numbered(event["error"]) else 0, json.dumps(event).encode())
    usage = event.get("usage")
    try:
        choice = event["choices"][0] if event["choices"] else {}
        text = (choice.get("delta") or {}).get("content") or ""
        return Piece(str(text), _reason(choice.get("finish_reason")), used(usage, event) if usage else None)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise broken_off() from error


def _numbered(error: Any) -> bool:
    return isinstance(error, dict) and isinstance(error.get("code"), int)


def _reason(said: str | None) -> FinishReason | None:
    if said is None:
        return None
    if said not in _REASONS:
        raise broken_off()
    return _REASONS[said]


def used(usage: Mapping[str, Any], event: Mapping[str, Any]) -> Usage:
    """Raises `KeyError`, `TypeError` or `ValueError` for numbers that are none."""
    details = usage.get("prompt_tokens_details") or {}
    timings = event.get("timings") or {}
    cached = details.get("cached_tokens") or timings.get("cache_n") or 0
    return Usage(int(usage["prompt_tokens"]), int(usage.get("completion_tokens") or 0), int(cached))


def decoded(body: bytes) -> dict[str, Any]:
    """A JSON object. Raises `Unavailable` (`inference.died`) for anything else."""
    try:
        found = json.loads(body)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise broken_off() from error
    if not isinstance(found, dict):
        raise broken_off()
    return found


def failure(status: int, body: bytes) -> ApplianceError:
    """The error that a status and what came with it stand for."""
    said = _said(body)
    if status == _NOT_FOUND:
        return Unavailable("The inference server does not know this model.", code="inference.no_model")
    if status in _BUSY:
        return Unavailable(
            "The inference server is busy with other questions. Please try again in a moment.", code="inference.busy"
        )
    if status in _NOT_LET_IN:
        return Unavailable("The inference server does not let this box in.", code="inference.unreachable")
    if _TOO_LONG.search(said):
        return InvalidInput("The inference server says that the prompt is too long.", code="inference.context_overflow")
    if 400 <= status < 500:
        return InvalidInput(
            f"The inference server refused the request: {said.strip().rstrip('.')}.", code="inference.unsupported"
        )
    return Unavailable("The inference server failed.", code="inference.died", status=status)


def _said(body: bytes) -> str:
    """The sentence in an error: servers put it in three different places."""
    try:
        found = json.loads(body)
    except (json.JSONDecodeError, UnicodeDecodeError):
        return body[:200].decode(errors="replace")
    for key in ("error", "message"):
        found = found.get(key, found) if isinstance(found, dict) else found
    return str(found)[:200]


def broken_off() -> Unavailable:
    return Unavailable("The inference server broke off in the middle of its answer.", code="inference.died")
