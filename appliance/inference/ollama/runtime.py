"""Answers from a model that lives in an Ollama on this machine."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from typing import Any

from appliance.egress.calls import OWN_WORDS
from appliance.errors import ApplianceError, InvalidInput, SetupError, Unavailable
from appliance.inference.devices import SOME_GRAPHICS
from appliance.inference.estimate import PROBES, check_fits, check_whole, fewest_tokens, template_cost
from appliance.inference.models import CompletionRequest, Delta, FinishReason, Health, Model, PromptMessage, Usage
from appliance.inference.ollama.client import KEEP_ALIVE, AnyClient, translated
from appliance.inference.ollama.names import check_local, same_name

_HEALTH_S = 2.0
_LOOK_AGAIN_S = 5.0
_UNLOAD_S = 10.0
_REASONS = {"stop": FinishReason.STOP, "length": FinishReason.LENGTH}


class OllamaRuntime:
    """One model of one server. The server decides how many answers it works on at once, and keeps its own queue.

    Ollama answers a prompt that is too long from a part of it, with a success code. Three things stand against that: `num_ctx` is
    always set and was seen to be honoured; no prompt is sent that could be longer, by a bound that holds (`estimate`); the server
    is told not to truncate, and what it says it read is checked when the answer ends.
    """

    def __init__(self, model: Model, name: str, client: AnyClient, context_tokens: int, device: str = "cpu") -> None:
        """`name` is what the server calls it, `device` where it is expected to compute. Loads the model there.

        Raises `Denied`, `SetupError`, `Unavailable`.
        """
        self._model, self._name, self._client = model, name, client
        self._context_tokens = context_tokens
        self._running, self._lock, self._closed = 0, threading.Lock(), False
        _check_trained(name, client.shown(name), context_tokens)
        lengths = [self._measured(probe) for probe in (PROBES[0], *PROBES)]
        if lengths[0] != lengths[1]:
            raise Unavailable(
                "This version of Ollama does not count what it remembers of a prompt; a truncated one could not be found out.",
                code="inference.load_failed",
            )
        self._cost = template_cost(lengths[1:])
        self._expected = device
        self._device, self._looked = self._placed(), time.monotonic()

    @property
    def model(self) -> Model:
        return self._model

    @property
    def context_tokens(self) -> int:
        return self._context_tokens

    def count_tokens(self, messages: Sequence[PromptMessage]) -> int:
        """The most it can be: Ollama has no tokenizer to ask (docs/decisions.md)."""
        return self._cost.most_tokens(messages)

    def complete(self, request: CompletionRequest) -> Iterator[Delta]:
        return self.answer(request, "")

    def answer(self, request: CompletionRequest, classification: str) -> Iterator[Delta]:
        """As `complete`; the classification is for a server that is reached through the gate."""
        check_fits(self.count_tokens(request.messages), request.max_tokens, self._context_tokens)
        return self._stream(request, self._body(request), classification)

    def health(self) -> Health:
        if self._closed:
            return Health(ready=False, detail="The language model has been unloaded.", device=self._device)
        try:
            version = self._client.version(_HEALTH_S)
        except ApplianceError as error:
            return Health(ready=False, detail=error.sentence, device=self._device, running=self._running)
        self._look_again()
        return Health(ready=True, detail=f"Ollama {version}", device=self._device, running=self._running)

    def _look_again(self) -> None:
        """The server may have unloaded the model, and put it elsewhere since."""
        if time.monotonic() - self._looked < _LOOK_AGAIN_S:
            return
        self._looked = time.monotonic()
        with suppress(ApplianceError):  # one that is not loaded at the moment computes nowhere
            self._device = self._placed()

    def close(self) -> None:
        self._closed = True
        try:
            self._client.unload(self._name, _UNLOAD_S)
        except ApplianceError:
            pass  # a server that is gone holds no memory
        finally:
            self._client.close()

    def _body(self, request: CompletionRequest) -> dict[str, Any]:
        if request.grammar:
            raise InvalidInput("Ollama cannot hold an answer to a grammar.", code="inference.unsupported")
        body: dict[str, Any] = {
            "model": self._name,
            "messages": [{"role": message.role, "content": message.text} for message in request.messages],
            "keep_alive": KEEP_ALIVE,
            "truncate": False,
            "shift": False,
            "think": False,
            "options": {
                "num_ctx": self._context_tokens,
                "num_predict": request.max_tokens,
                "temperature": request.temperature,
                "seed": request.seed,
                **request.sampling.given(),
            },
        }
        if request.json_schema:
            try:
                body["format"] = json.loads(request.json_schema)
            except json.JSONDecodeError as error:
                raise InvalidInput("The JSON schema for the answer is not JSON.", code="inference.unsupported") from error
        return body

    def _stream(self, request: CompletionRequest, body: Mapping[str, Any], classification: str) -> Iterator[Delta]:
        written = 0
        with self._counted(), closing(self._client.chat_pieces(body, request, classification)) as pieces:
            try:
                for piece in pieces:
                    with translated(self._name):
                        check_local(self._name, piece)
                        text = str(piece["message"]["content"])
                    if piece.get("done"):
                        yield _last(text, piece, request)
                        return
                    if text:
                        written += 1
                        yield Delta(text)
            except Unavailable as error:
                if error.stable_code != "egress.interrupted":
                    raise
                yield Delta("", FinishReason.CANCELLED, Usage(completion_tokens=written))
                return
            raise Unavailable("Ollama broke off in the middle of its answer.", code="inference.died")

    @contextmanager
    def _counted(self) -> Iterator[None]:
        if self._closed:
            raise Unavailable("The language model has been unloaded.", code="inference.closed")
        with self._lock:
            self._running += 1
        try:
            yield
        finally:
            with self._lock:
                self._running -= 1

    def _measured(self, messages: tuple[PromptMessage, ...]) -> int:
        """How many tokens the server makes of these messages."""
        request = CompletionRequest(messages, 1)
        *_, last = self._stream(request, self._body(request), OWN_WORDS)
        return last.usage.prompt_tokens if last.usage else 0

    def _placed(self) -> str:
        """Where the model computes. Raises `Unavailable` if it was given less context than asked for, or that is not said."""
        with translated(self._name):
            found = [running for running in self._client.running() if same_name(str(running["model"]), self._name)]
        given = found[0].get("context_length") if found else None
        if given is None or given < self._context_tokens:
            raise Unavailable(
                f"Ollama holds {self._name} with {given or 'an unknown number of'} tokens of context "
                f"instead of {self._context_tokens}.",
                code="inference.load_failed",
            )
        size, on_gpu = int(found[0].get("size") or 0), int(found[0].get("size_vram") or 0)
        # it does not say on which: where one was expected, that
        graphics = SOME_GRAPHICS if self._expected == "cpu" else self._expected
        return "cpu" if not on_gpu else graphics if on_gpu >= size else f"cpu+{graphics}"


def _check_trained(name: str, shown: Mapping[str, Any], context_tokens: int) -> None:
    about = shown.get("model_info") or {}
    trained = about.get(f"{about.get('general.architecture')}.context_length")
    if not isinstance(trained, int):
        raise Unavailable(f"Ollama does not say how much {name} can hold.", code="inference.load_failed")
    if context_tokens > trained:
        raise SetupError(
            f"The setting context_tokens is {context_tokens}, but {name} was trained for {trained}.", code="setup.context_tokens"
        )


def _last(text: str, piece: Mapping[str, Any], request: CompletionRequest) -> Delta:
    reason = _REASONS.get(piece.get("done_reason", ""))
    if reason is None:
        raise Unavailable("Ollama ended its answer without saying why.", code="inference.died")
    read = check_whole(piece.get("prompt_eval_count"), fewest_tokens(request.messages))
    usage = Usage(read, int(piece.get("eval_count") or 0), int(piece.get("prompt_eval_cached_count") or 0))
    return Delta(text, reason, usage)
