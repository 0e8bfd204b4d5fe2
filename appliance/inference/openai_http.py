"""Answers from an OpenAI-style server on the organisation's network (vLLM, llama-server, MLX, ...), only through the gate."""

from __future__ import annotations

import functools
import json
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from appliance.audit.events import ResourceRef
from appliance.egress.calls import OWN_WORDS, Call
from appliance.egress.destinations import Dialect, Purpose
from appliance.errors import ApplianceError, SetupError, Unavailable
from appliance.inference import openai_wire as wire
from appliance.inference.estimate import PROBES, check_fits, check_whole, fewest_tokens, template_cost
from appliance.inference.lent import Lent
from appliance.inference.models import CompletionRequest, Delta, FinishReason, Health, Model, PromptMessage, Usage
from appliance.inference.registry import Availability, LoadRequest, RuntimeSpec
from appliance.inference.runtime import Runtime

if TYPE_CHECKING:
    from appliance.egress.gate import Gate

_CODES = {
    "egress.silent": "inference.timeout",
    "egress.unreachable": "inference.unreachable",
    "egress.certificates": "inference.unreachable",
    "egress.gate": "inference.unreachable",
}
_ABSENT = {"inference.unreachable", "inference.no_model"}
_OK = 200
_SILENCE_S = 120.0
_SHORT_S = 20.0
_ANSWER_LIMIT_BYTES = 16_000_000
_LOOK_AGAIN_S = 60.0
_COUNTS_KEPT = 64
_TEMPLATE_SLACK = 4
"""Tokens by which a server's count of a prompt may differ from what it says it read: marks of beginning and end."""

_Count = Callable[[tuple[PromptMessage, ...], str], int]
"""The length of a prompt that holds nothing above a classification."""


class OpenAIRuntime:
    """One model of one destination. Each call is on record, so health is what the last call found.

    Prompts are sent by what `under` gives; without a classification the gate lets none of them out.
    """

    def __init__(
        self, model: Model, name: str, gate: Gate, destination: str, context_tokens: int, *, silence_s: float = _SILENCE_S
    ) -> None:
        """`name` is what the server calls the model. Raises `Denied`, `SetupError` or `Unavailable` (`inference.no_model`)."""
        self._model, self._name, self._gate, self._destination = model, name, gate, destination
        self._context_tokens, self._silence_s = context_tokens, silence_s
        self._lock, self._running, self._closed = threading.Lock(), 0, False
        self._trouble, self._looked = "", 0.0
        self._look()
        self._dialect = gate.destinations[destination].dialect
        self._refuse_ollama()
        _check_context(self._holds(), context_tokens, name)
        self._count: _Count = functools.lru_cache(_COUNTS_KEPT)(self._counter())

    @property
    def model(self) -> Model:
        return self._model

    @property
    def context_tokens(self) -> int:
        return self._context_tokens

    def under(self, classification: str) -> Runtime:
        """The same model, for prompts that hold nothing above this classification."""
        return Lent(self, classification)

    def count_tokens(self, messages: Sequence[PromptMessage]) -> int:
        return self.count(messages, "")

    def complete(self, request: CompletionRequest) -> Iterator[Delta]:
        return self.answer(request, "")

    def count(self, messages: Sequence[PromptMessage], classification: str) -> int:
        """What the server counts, where it has a tokenizer to ask; else the most it can be (docs/decisions.md)."""
        return self._count(tuple(messages), classification)

    def answer(self, request: CompletionRequest, classification: str) -> Iterator[Delta]:
        """As `Runtime.complete`."""
        body = wire.completion_body(request, self._name, self._dialect)
        count = self.count(request.messages, classification)
        check_fits(count, request.max_tokens, self._context_tokens)
        exact = self._dialect is not Dialect.OPENAI
        fewest = count - _TEMPLATE_SLACK if exact else fewest_tokens(request.messages)
        return self._stream(request, body, classification, fewest)

    def health(self) -> Health:
        if self._closed:
            return Health(ready=False, detail="The language model has been unloaded.", device=self._destination)
        if self._trouble and time.monotonic() - self._looked > _LOOK_AGAIN_S:
            try:
                self._look()
            except ApplianceError as error:
                self._trouble = error.sentence
        return Health(not self._trouble, self._trouble, self._destination, self._running)

    def close(self) -> None:
        """The server keeps its model."""
        self._closed = True

    def _stream(self, request: CompletionRequest, body: bytes, classification: str, fewest: int) -> Iterator[Delta]:
        ended, usage, written, thoughts = None, None, 0, wire.Thoughts()
        about = (ResourceRef("conversation", request.conversation),) if request.conversation else ()
        call = self._call(
            "/v1/chat/completions",
            body,
            classification=classification,
            person=request.person,
            about=about,
            limit_bytes=_ANSWER_LIMIT_BYTES,
            silence_s=self._silence_s,
            deadline_s=request.deadline_s,
            cancelled=request.cancelled,
        )
        try:
            with self._watched(), closing(self._lines(call)) as lines:
                for piece in wire.pieces(lines):
                    ended, usage = piece.reason or ended, piece.usage or usage
                    if piece.text:
                        written += 1
                    if answer := thoughts.without(piece.text):
                        yield Delta(answer)
        except Unavailable as error:
            if error.stable_code != "egress.interrupted":
                raise
            yield Delta("", FinishReason.CANCELLED, Usage(completion_tokens=written))
            return
        if ended is None:
            raise wire.broken_off()
        if usage is None and self._dialect is Dialect.OPENAI:
            usage = Usage(completion_tokens=written)  # these servers may leave it out; they refuse what does not fit
        else:
            check_whole(usage and usage.prompt_tokens, fewest)
        yield Delta(thoughts.rest(), ended, usage)

    def _lines(self, call: Call) -> Generator[bytes]:
        with self._gate.open(call) as reply:
            if reply.status != _OK:
                raise wire.failure(reply.status, reply.read())
            yield from reply.lines()

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Count the answer, and remember for `health` whether the server was there. Codes of the gate become ours."""
        if self._closed:
            raise Unavailable("The language model has been unloaded.", code="inference.closed")
        with self._lock:
            self._running += 1
        try:
            yield
            self._trouble = ""
        except Unavailable as error:
            if error.stable_code == "egress.interrupted":
                raise
            if error.stable_code.startswith("egress.") or error.stable_code in _ABSENT:
                self._trouble, self._looked = error.sentence, time.monotonic()
            if not error.stable_code.startswith("egress."):
                raise
            raise Unavailable(error.sentence, code=_CODES.get(error.stable_code, "inference.died")) from error
        finally:
            with self._lock:
                self._running -= 1

    def _look(self) -> None:
        """Ask which models there are. Raises `Unavailable` where ours is not among them."""
        self._looked = time.monotonic()
        self._listed = {str(model.get("id")): model for model in self._asked("/v1/models").get("data") or []}
        if self._name not in self._listed:
            raise Unavailable(f"{self._destination} has no model named {self._name}.", code="inference.no_model")

    def _refuse_ollama(self) -> None:
        """Raises `SetupError` for an Ollama: in this dialect it takes no `num_ctx`, and cuts what is too long without a word."""
        with self._watched(), self._gate.open(self._call("/api/version", b"", silence_s=_SHORT_S)) as reply:
            answers = reply.status == _OK and b'"version"' in reply.read()
        if answers:
            raise SetupError(
                f"{self._destination} is an Ollama, which cuts long prompts silently when it is spoken to like this; give it "
                'the dialect "ollama" in destinations.toml.',
                code="inference.unsupported",
            )

    def _holds(self) -> Any:
        """The tokens of context the server gives, None where its dialect has no word for that."""
        match self._dialect:
            case Dialect.VLLM:
                return self._listed[self._name].get("max_model_len") or 0
            case Dialect.LLAMA_SERVER:
                return (self._asked("/props").get("default_generation_settings") or {}).get("n_ctx") or 0
            case Dialect.OPENAI | Dialect.OLLAMA:
                return None

    def _counter(self) -> _Count:
        match self._dialect:
            case Dialect.VLLM:
                return self._counted_by_vllm
            case Dialect.LLAMA_SERVER:
                return self._counted_by_llama_server
            case Dialect.OPENAI | Dialect.OLLAMA:
                cost = template_cost([self._measured(probe) for probe in PROBES])
                return lambda messages, _: cost.most_tokens(messages)

    def _counted_by_vllm(self, messages: tuple[PromptMessage, ...], classification: str) -> int:
        options = wire.template_options(self._dialect)
        body = {"model": self._name, "messages": wire.written(messages), "add_generation_prompt": True, **options}
        return _number(self._asked("/tokenize", body, classification).get("count"))

    def _counted_by_llama_server(self, messages: tuple[PromptMessage, ...], classification: str) -> int:
        body = {"messages": wire.written(messages), **wire.template_options(self._dialect)}
        prompt = self._asked("/apply-template", body, classification).get("prompt")
        options = {"content": prompt, "add_special": True, "parse_special": True}
        found = self._asked("/tokenize", options, classification).get("tokens")
        return _number(len(found) if isinstance(found, list) else None)

    def _measured(self, messages: tuple[PromptMessage, ...]) -> int:
        body = wire.completion_body(CompletionRequest(messages, 1), self._name, self._dialect, stream=False)
        with self._watched():
            usage = wire.decoded(self._read("/v1/chat/completions", body, OWN_WORDS, self._silence_s)).get("usage") or {}
        return _number(usage.get("prompt_tokens"))

    def _asked(self, path: str, body: dict[str, Any] | None = None, classification: str = "") -> dict[str, Any]:
        written = b"" if body is None else json.dumps(body).encode()
        with self._watched():
            return wire.decoded(self._read(path, written, classification, min(_SHORT_S, self._silence_s)))

    def _read(self, path: str, body: bytes, classification: str, silence_s: float) -> bytes:
        with self._gate.open(self._call(path, body, classification=classification, silence_s=silence_s)) as reply:
            answer = reply.read()
            if reply.status != _OK:
                raise wire.failure(reply.status, answer)
            return answer

    def _call(self, path: str, body: bytes, **limits: Any) -> Call:
        return Call(self._destination, Purpose.INFERENCE, path, body, **limits)


def _check_context(holds: Any, context_tokens: int, name: str) -> None:
    if holds is None:
        return
    if not isinstance(holds, int) or holds < context_tokens:
        raise SetupError(
            f"The setting context_tokens is {context_tokens}, but the inference server runs {name} with {holds}.",
            code="setup.context_tokens",
        )


def _number(said: Any) -> int:
    if not isinstance(said, int) or said <= 0:
        raise Unavailable("The inference server does not say how long a prompt is.", code="inference.load_failed")
    return said


def _load(request: LoadRequest) -> Runtime:
    if request.gate is None:
        raise SetupError("A model on another machine can only be reached through the egress gate.", code="inference.no_gate")
    kind, _, rest = request.model.source.partition(":")
    place, _, name = rest.partition(":")
    if kind != "destination" or place != request.destination or not name:
        raise SetupError(f"The source of {request.model.id} is no model at {request.destination}.", code="inference.no_model")
    found = request.gate.destinations.get(place)
    if found is not None and found.dialect is Dialect.OLLAMA:
        from appliance.inference.ollama.gated import load_gated

        return load_gated(request.model, name, request.gate, place, request.context_tokens)
    return OpenAIRuntime(request.model, name, request.gate, place, request.context_tokens)


SPEC = RuntimeSpec("openai_http", "OpenAI-style server", frozenset({"served"}), lambda: Availability(usable=True), _load)
