"""The runtime over the engine: prompts rendered and counted, requests checked, answers streamed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

from appliance.errors import ApplianceError, InvalidInput, SetupError
from appliance.inference.llamacpp.dialect import dialect_of
from appliance.inference.llamacpp.drafting import GUESSES
from appliance.inference.llamacpp.engine import Engine
from appliance.inference.llamacpp.native import Adapter, NativeModel, card_number
from appliance.inference.llamacpp.room import require_free_memory
from appliance.inference.llamacpp.sampling import Sampling, grammar_of
from appliance.inference.llamacpp.slots import Ticket
from appliance.inference.models import CompletionRequest, Delta, Health, Model, PromptMessage
from appliance.inference.registry import DEFAULT_SLOTS

_WAITING_PER_SLOT = 8
_SEQUENCES_PER_SLOT = 2  # one that is being written, one that rests


class LlamaCppRuntime:
    """One model, several conversations at a time, in slots.

    All of them share the memory that the longest prompt with its answer takes. What was read stays there until the room is
    needed, so that a prompt which begins like an earlier one costs only its new part.
    """

    def __init__(
        self,
        model: Model,
        path: Path,
        context_tokens: int,
        threads: int,
        *,
        slots: int = DEFAULT_SLOTS,
        waiting_limit: int | None = None,
        device: str = "cpu",
        library: str = "cpu",
        adapters: Sequence[Adapter] = (),
        drafting: bool = True,
        template: str = "",
    ) -> None:
        """`template` is the TEMPLATE of a Modelfile, where there is one."""
        if context_tokens > model.context_tokens:
            raise SetupError(
                f"The setting context_tokens is {context_tokens}, but {model.id} was trained for {model.context_tokens}.",
                code="setup.context_tokens",
            )
        require_free_memory(path, model.id)
        self._model = model
        self._context_tokens = context_tokens
        self._native = NativeModel(
            path,
            name=model.id,
            context_tokens=context_tokens + GUESSES,
            threads=threads,
            sequences=_SEQUENCES_PER_SLOT * slots,
            outputs=slots + GUESSES,
            gpu=device != "cpu",
            card=card_number(device, library),
            adapters=adapters,
        )
        self._device = device if self._native.layers_on_gpu or device == "cpu" else "cpu"
        try:
            self._dialect = dialect_of(self._native, template)
        except ApplianceError:
            self._native.close()
            raise
        self._arrivals = count()
        limit = _WAITING_PER_SLOT * slots if waiting_limit is None else waiting_limit
        self._engine = Engine(self._native, slots=slots, capacity=context_tokens, waiting_limit=limit, drafting=drafting)

    @property
    def model(self) -> Model:
        return self._model

    @property
    def context_tokens(self) -> int:
        return self._context_tokens

    def count_tokens(self, messages: Sequence[PromptMessage]) -> int:
        return len(self.render(messages))

    def render(self, messages: Sequence[PromptMessage]) -> list[int]:
        """The prompt as the model reads it. Text that looks like a marker stays text."""
        return self._dialect.render(messages)

    def complete(self, request: CompletionRequest) -> Iterator[Delta]:
        """Stream the answer. A sampled answer (`temperature` above 0) is the same every time when nothing runs beside it."""
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
        grammar = _grammar(request)
        sampler = self._native.sampler(Sampling(request.temperature, request.seed, request.sampling, grammar=grammar))
        ticket = Ticket(
            request,
            prompt,
            public=self._public(request.messages),
            sampler=sampler,
            arrival=next(self._arrivals),
            alone=request.temperature > 0 and request.repeatable,
            ends_at=None if request.deadline_s is None else time.monotonic() + request.deadline_s,
        )
        try:
            return self._engine.submit(ticket)
        except ApplianceError:
            sampler.close()
            raise

    def _public(self, messages: Sequence[PromptMessage]) -> int:
        """How many of the prompt's first tokens come from the system, not from a person or a document."""
        first = messages[0] if messages else None
        try:
            return len(self._dialect.turns([first])) if first is not None and first.role == "system" else 0
        except SetupError:
            return 0  # this template writes them into the first question

    def health(self) -> Health:
        running, waiting = self._engine.counts()
        try:
            self._engine.check()
        except ApplianceError as error:
            return Health(ready=False, detail=error.sentence, device=self._device)
        return Health(ready=True, device=self._device, running=running, waiting=waiting)

    def close(self) -> None:
        self._engine.close()


def _grammar(request: CompletionRequest) -> str:
    if request.grammar and request.json_schema:
        raise InvalidInput("An answer is constrained by a grammar or by a schema, not by both.", code="inference.unsupported")
    return grammar_of(request.json_schema) if request.json_schema else request.grammar
