"""The language model inside this process: llama.cpp on the box's own cores."""

from __future__ import annotations

import codecs
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from appliance.errors import InvalidInput, SetupError, Unavailable
from appliance.inference.llama_native import BATCH_TOKENS, DecodeAborted, NativeModel, Sampling
from appliance.inference.models import CompletionRequest, Delta, FinishReason, Health, Model, PromptMessage, Usage
from appliance.inference.registry import Availability, LoadRequest, RuntimeSpec
from appliance.inference.runtime import Runtime
from appliance.inference.store import ModelStore

_CANCEL_POLL_S = 0.02


class LlamaCppRuntime:
    """One model, one conversation at a time; callers wait for each other.

    What the model has read stays in its memory, so that a prompt which begins like the last one costs only its new part.
    """

    def __init__(self, model: Model, path: Path, context_tokens: int, threads: int) -> None:
        if context_tokens > model.context_tokens:
            raise SetupError(
                f"The setting context_tokens is {context_tokens}, but {model.id} was trained for {model.context_tokens}.",
                code="setup.context_tokens",
            )
        self._model = model
        self._context_tokens = context_tokens
        self._native = NativeModel(path, context_tokens=context_tokens, threads=threads)
        self._turn_start = self._native.control_token("<|im_start|>")
        self._turn_end = self._native.control_token("<|im_end|>")
        self._newline = self._native.tokenise("\n", special=False)
        self._read: list[int] = []
        self._busy = threading.Lock()
        self._closed = False

    @property
    def model(self) -> Model:
        return self._model

    @property
    def context_tokens(self) -> int:
        return self._context_tokens

    def count_tokens(self, messages: Sequence[PromptMessage]) -> int:
        return len(self.render(messages))

    def render(self, messages: Sequence[PromptMessage]) -> list[int]:
        """The prompt in ChatML. Markers are placed by number; text that looks like a marker stays text."""
        tokens: list[int] = []
        for message in messages:
            text = self._native.tokenise(f"{message.role}\n{message.text}", special=False)
            tokens += [self._turn_start, *text, self._turn_end, *self._newline]
        return [*tokens, self._turn_start, *self._native.tokenise("assistant\n", special=False)]

    def complete(self, request: CompletionRequest) -> Iterator[Delta]:
        prompt = self.render(request.messages)
        if len(prompt) + request.max_tokens > self._context_tokens:
            raise InvalidInput(
                f"The question with its passages is {len(prompt)} tokens long; with {request.max_tokens} for the answer that "
                f"is more than the {self._context_tokens} the language model can hold.",
                code="inference.context_overflow",
                prompt_tokens=len(prompt),
                max_tokens=request.max_tokens,
                context_tokens=self._context_tokens,
            )
        return self._stream(request, prompt)

    def health(self) -> Health:
        if self._closed:
            return Health(ready=False, detail="The language model has been unloaded.")
        return Health(ready=True, running=int(self._busy.locked()))

    def close(self) -> None:
        with self._busy:
            self._closed = True
            self._native.close()

    def _stream(self, request: CompletionRequest, prompt: list[int]) -> Iterator[Delta]:
        with self._busy, self._abort_when(request.cancelled):
            if self._closed:
                raise Unavailable("The language model has been unloaded.", code="inference.closed")
            cached = self._keep_common_prefix(prompt)
            written = 0
            decoder = codecs.getincrementaldecoder("utf-8")("replace")
            finish = FinishReason.CANCELLED
            try:
                self._decode(prompt[cached:])
                for token in self._tokens(request):
                    if token is None:
                        finish = FinishReason.STOP
                        break
                    written += 1
                    text = decoder.decode(self._native.piece(token))
                    if text:
                        yield Delta(text)
                else:
                    finish = FinishReason.LENGTH
            except DecodeAborted:
                pass
            usage = Usage(prompt_tokens=len(prompt), completion_tokens=written, cached_tokens=cached)
            yield Delta(decoder.decode(b"", final=True), finish, usage)

    def _tokens(self, request: CompletionRequest) -> Iterator[int | None]:
        """The answer's tokens; None when the model ends its turn. Raises `DecodeAborted` after a stop."""
        sampler = self._native.sampler(Sampling(request.temperature, request.seed))
        try:
            for number in range(request.max_tokens):
                token = sampler.next_token()
                if request.cancelled.is_set():
                    raise DecodeAborted
                if self._native.ends_turn(token):
                    yield None
                    return
                yield token
                if number + 1 < request.max_tokens:
                    self._decode([token])
        finally:
            sampler.close()

    def _decode(self, tokens: Sequence[int]) -> None:
        for start in range(0, len(tokens), BATCH_TOKENS):
            piece = tokens[start : start + BATCH_TOKENS]
            try:
                self._native.decode(piece)
            except (DecodeAborted, Unavailable):
                self._native.forget_from(len(self._read))
                raise
            self._read += piece

    def _keep_common_prefix(self, prompt: list[int]) -> int:
        """Forget what differs from `prompt` and say how much of it need not be read again; its last token always is."""
        common = 0
        for old, new in zip(self._read, prompt[:-1], strict=False):
            if old != new:
                break
            common += 1
        self._native.forget_from(common)
        del self._read[common:]
        return common

    @contextmanager
    def _abort_when(self, cancelled: threading.Event) -> Iterator[None]:
        """Raise the native abort flag when `cancelled` is set, also in the middle of a long prompt."""
        flag, done = self._native.abort_flag, threading.Event()
        flag.value = b""

        def watch() -> None:
            while not done.is_set():
                if cancelled.wait(_CANCEL_POLL_S):
                    flag.value = b"1"
                    return

        watcher = threading.Thread(target=watch, name="stop-watch", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join()
            flag.value = b""


def load_runtime(models: ModelStore, *, context_tokens: int, threads: int) -> LlamaCppRuntime:
    """The active language model, its digest checked. Raises `SetupError` or `Unavailable`."""
    model = models.active("language")
    return LlamaCppRuntime(model, models.verified_path(model), context_tokens, threads)


def _probe() -> Availability:
    if find_spec("llama_cpp") is None:
        return Availability(usable=False, reason="llama-cpp-python is not installed.")
    return Availability(usable=True)


def _load(request: LoadRequest) -> Runtime:
    if request.path is None:
        raise SetupError("llama.cpp needs a model file.", code="inference.no_file")
    return LlamaCppRuntime(request.model, request.path, request.context_tokens, request.threads)


SPEC = RuntimeSpec("llamacpp", "llama.cpp", frozenset({"gguf"}), _probe, _load)
