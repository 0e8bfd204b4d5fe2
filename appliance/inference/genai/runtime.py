"""Language models in ONNX Runtime GenAI, inside this process, from a folder with graph, tokenizer and settings."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from appliance.errors import InvalidInput, SetupError, Unavailable
from appliance.inference.folder_tokenizer import ChatTokenizer
from appliance.inference.genai.native import GenaiModel, folder_settings
from appliance.inference.models import CompletionRequest, Delta, FinishReason, Health, Model, PromptMessage, Usage
from appliance.inference.waiting_line import WaitingLine, ends_at, stopped

WAITING_LIMIT = 8
_PIECE_S = 0.2
"""How long one call into the library should take: it holds the interpreter's lock, and nobody can press stop meanwhile."""
_READ_AGAIN = 2
"""One token alone goes through another kernel, which rounds otherwise: a remembered prompt would be answered differently."""
_SMALLEST_PIECE, _LARGEST_PIECE = 32, 256  # tokens; smaller ones would cost more than they spare


class GenaiRuntime:
    """One model, one answer at a time; the others wait in line.

    What the model has read stays in its memory, so that the next question of a conversation costs only its new part.
    Conversations of others share the system's own words at most: how fast an answer comes must not tell what somebody else asked.
    """

    def __init__(
        self,
        model: Model,
        folder: Path,
        context_tokens: int,
        threads: int,
        *,
        device: str = "cpu",
        library: str = "cpu",
        waiting_limit: int = WAITING_LIMIT,
    ) -> None:
        trained = int(folder_settings(folder)["model"]["context_length"])
        if context_tokens > trained:
            raise SetupError(
                f"The setting context_tokens is {context_tokens}, but {model.id} was trained for {trained}.",
                code="setup.context_tokens",
            )
        self._tokenizer = ChatTokenizer(folder)
        self._native = GenaiModel(folder, context_tokens=context_tokens, threads=threads, device=device, library=library)
        self._model = model
        self._context_tokens = context_tokens
        self._read: list[int] = []
        self._readers = ("", "")
        self._piece = _SMALLEST_PIECE
        self._line = WaitingLine(waiting_limit)

    @property
    def model(self) -> Model:
        return self._model

    @property
    def context_tokens(self) -> int:
        return self._context_tokens

    def count_tokens(self, messages: Sequence[PromptMessage]) -> int:
        return len(self.render(messages))

    def render(self, messages: Sequence[PromptMessage]) -> list[int]:
        """The prompt in the model's own chat template; text that looks like a marker stays text."""
        return self._tokenizer.render(messages)

    def complete(self, request: CompletionRequest) -> Iterator[Delta]:
        if request.grammar:
            raise InvalidInput("ONNX Runtime GenAI takes a JSON schema, not a GBNF grammar.", code="inference.unsupported")
        prompt = self.render(request.messages)
        refuse_overflow(len(prompt), request.max_tokens, self._context_tokens)
        place = self._line.join()
        deltas = self._stream(request, prompt, place)
        weakref.finalize(deltas, self._line.leave, place)  # a generator that was never begun has no end either
        return deltas

    def health(self) -> Health:
        running, waiting = self._line.counts()
        if self._native.closed:
            return Health(ready=False, detail="The language model has been unloaded.", device=self._native.device)
        if self._line.hung():
            return Health(ready=False, detail="The language model does not answer any more.", device=self._native.device)
        return Health(ready=True, device=self._native.device, running=running, waiting=waiting)

    def close(self) -> None:
        self._native.close()

    def _stream(self, request: CompletionRequest, prompt: list[int], place: object) -> Iterator[Delta]:
        end = ends_at(request)
        decoder = self._tokenizer.decoder()
        written, cached, finish = 0, 0, FinishReason.CANCELLED
        try:
            if self._line.reach(place, request, end):
                cached = 0 if request.json_schema else self._keep_common_prefix(request, prompt)
                for token in self._tokens(request, prompt, cached, lambda: stopped(request, end)):
                    if token is None:
                        finish = FinishReason.STOP
                        break
                    written += 1
                    if text := decoder.add(token):
                        yield Delta(text)
                else:
                    finish = FinishReason.CANCELLED if stopped(request, end) else FinishReason.LENGTH
        finally:
            self._line.leave(place)
        yield Delta("", finish, Usage(prompt_tokens=len(prompt), completion_tokens=written, cached_tokens=cached))

    def _tokens(
        self, request: CompletionRequest, prompt: list[int], cached: int, stop: Callable[[], bool]
    ) -> Iterator[int | None]:
        """The answer's tokens, None when the model ends its turn; ends early when `stop` says so."""
        if request.json_schema:
            yield from self._constrained(request, prompt, stop)
            return
        if not self._feed(self._remember, prompt[cached:], stop):
            return
        chance = np.random.default_rng(request.seed)
        for number in range(request.max_tokens):
            if stop():
                return
            token = _choose(self._native.scores(), request.temperature, chance)
            if self._native.ends_turn(token):
                yield None
                return
            yield token
            if number + 1 < request.max_tokens and not stop():
                self._remember([token])

    def _constrained(self, request: CompletionRequest, prompt: list[int], stop: Callable[[], bool]) -> Iterator[int | None]:
        sequence = self._native.constrained(request.json_schema, request.temperature, request.seed)
        if not self._feed(sequence.read, prompt, stop):
            return
        for _ in range(request.max_tokens):
            if stop():
                return
            token = sequence.next_token()
            if token is None or self._native.ends_turn(token):
                yield None
                return
            yield token

    def _feed(self, read: Callable[[Sequence[int]], None], tokens: list[int], stop: Callable[[], bool]) -> bool:
        """Read `tokens` in pieces that take about `_PIECE_S`; False when stopped on the way."""
        start = 0
        while start < len(tokens):
            if stop():
                return False
            piece = tokens[start : start + self._piece]
            began = time.monotonic()
            read(piece)
            speed = len(piece) / max(time.monotonic() - began, 1e-6)
            start += len(piece)
            if len(piece) == self._piece:
                self._piece = min(max(int(speed * _PIECE_S), _SMALLEST_PIECE), _LARGEST_PIECE)
            time.sleep(0)  # lets others have the interpreter's lock
        return True

    def _remember(self, tokens: Sequence[int]) -> None:
        try:
            self._native.read(tokens)
        except Unavailable:
            self._read = []
            if not self._native.closed:
                self._native.forget_from(0)
            raise
        self._read += tokens

    def _keep_common_prefix(self, request: CompletionRequest, prompt: list[int]) -> int:
        """Forget what differs from `prompt` and say how much of it need not be read again; its last tokens always are."""
        readers = (request.person, request.conversation)
        limit = max(len(prompt) - _READ_AGAIN, 0)
        if readers != self._readers:
            first = request.messages[0] if request.messages else None
            public = self._tokenizer.opening(first) if first is not None and first.role == "system" else 0
            limit = min(limit, public)
        common = 0
        while common < min(limit, len(self._read)) and self._read[common] == prompt[common]:
            common += 1
        self._native.forget_from(common)
        del self._read[common:]
        self._readers = readers
        return common


def refuse_overflow(prompt_tokens: int, max_tokens: int, context_tokens: int) -> None:
    """Raise `InvalidInput` (`inference.context_overflow`) rather than cut a prompt."""
    if prompt_tokens + max_tokens > context_tokens:
        raise InvalidInput(
            f"The question with its passages is {prompt_tokens} tokens long; with {max_tokens} for the answer that "
            f"is more than the {context_tokens} the language model can hold.",
            code="inference.context_overflow",
            prompt_tokens=prompt_tokens,
            max_tokens=max_tokens,
            context_tokens=context_tokens,
        )


def _choose(scores: npt.NDArray[np.float32], temperature: float, chance: np.random.Generator) -> int:
    """The likeliest token, or one drawn by the Gumbel method, which needs no normalisation (Gumbel 1954)."""
    if temperature <= 0:
        return int(scores.argmax())
    return int((scores.astype(np.float64) / temperature + chance.gumbel(size=len(scores))).argmax())
