"""What a version's Modelfile says, in force for every runtime: its words in the prompt, its sampling, where its answers end."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

from appliance.inference.modelfile import Modelfile
from appliance.inference.models import CompletionRequest, Delta, FinishReason, Health, Model, PromptMessage, SamplingRules
from appliance.inference.runtime import Runtime, SendsElsewhere

_BESIDE = "\n\nAs far as it agrees with what stands above:\n"


class InstructedRuntime:
    """A runtime that follows a Modelfile wherever a request leaves it room.

    The product's own rules come first: SYSTEM stands after them, in the same message, and the examples of MESSAGE after that; a
    request without rules gets neither. PARAMETERs hold where the request says nothing; `num_predict` never lengthens an answer.
    """

    def __init__(self, runtime: Runtime, modelfile: Modelfile) -> None:
        self._runtime, self._modelfile = runtime, modelfile
        rules: dict[str, Any] = {name: _number(modelfile, name) for name in SamplingRules.__dataclass_fields__}
        self._rules = SamplingRules(**rules)

    @property
    def model(self) -> Model:
        return self._runtime.model

    @property
    def context_tokens(self) -> int:
        return self._runtime.context_tokens

    @property
    def words(self) -> tuple[str, ...]:
        """The texts it adds to a prompt."""
        return (self._modelfile.system, *(message.text for message in self._modelfile.messages))

    def under(self, classification: str) -> Runtime:
        """Of a runtime whose prompts leave the box: the same model, lent for a classification. Others need none."""
        lends = self._runtime
        return InstructedRuntime(lends.under(classification), self._modelfile) if isinstance(lends, SendsElsewhere) else self

    def count_tokens(self, messages: Sequence[PromptMessage]) -> int:
        return self._runtime.count_tokens(instructed(messages, self._modelfile))

    def complete(self, request: CompletionRequest) -> Iterator[Delta]:
        changed = self._changed(request)
        if not self._modelfile.stops:
            return self._runtime.complete(changed)
        ended = _Either(request.cancelled)
        deltas = self._runtime.complete(replace(changed, cancelled=ended))
        return _until(deltas, self._modelfile.stops, ended)

    def health(self) -> Health:
        return self._runtime.health()

    def close(self) -> None:
        self._runtime.close()

    def _changed(self, request: CompletionRequest) -> CompletionRequest:
        longest = _number(self._modelfile, "num_predict") or -1
        seed = _number(self._modelfile, "seed")
        return replace(
            request,
            messages=instructed(request.messages, self._modelfile),
            max_tokens=min(request.max_tokens, int(longest)) if longest > 0 else request.max_tokens,
            temperature=request.temperature or float(_number(self._modelfile, "temperature") or 0.0),
            seed=request.seed or int(seed or 0),
            sampling=request.sampling if request.sampling.given() else self._rules,
            repeatable=request.repeatable and (request.temperature > 0 or seed is not None),
        )


def instructed(messages: Sequence[PromptMessage], modelfile: Modelfile) -> tuple[PromptMessage, ...]:
    """The messages with a Modelfile's SYSTEM after the rules they begin with, and its examples after those."""
    first, *rest = messages or (None,)
    if first is None or first.role != "system":
        return tuple(messages)
    words = "\n".join([modelfile.system, *(message.text for message in modelfile.messages if message.role == "system")]).strip()
    examples = [message for message in modelfile.messages if message.role != "system"]
    rules = PromptMessage("system", f"{first.text}{_BESIDE}{words}" if words else first.text)
    return (rules, *examples, *rest)


def _until(deltas: Iterator[Delta], stops: Sequence[str], ended: _Either) -> Iterator[Delta]:
    """The answer up to the first of `stops`, without it, also where it comes in pieces; `ended` makes the runtime leave off."""
    held, over = "", False
    with closing(deltas) if isinstance(deltas, _Closes) else nullcontext():
        for delta in deltas:
            held += "" if over else delta.text
            if not over and (place := first_stop(held, stops)) is not None:
                held, over = held[:place], True
                ended.set()
            if delta.finish_reason is None:
                shown = held if over else held[: len(held) - tail_that_may_stop(held, stops)]
                held = held[len(shown) :]
                if shown:
                    yield Delta(shown)
                continue
            yield Delta(held, FinishReason.STOP if over else delta.finish_reason, delta.usage)
            return


def first_stop(text: str, stops: Sequence[str]) -> int | None:
    """Where the first of `stops` begins."""
    return min((place for stop in stops if (place := text.find(stop)) >= 0), default=None)


def tail_that_may_stop(text: str, stops: Sequence[str]) -> int:
    """How many of the last characters may be the beginning of one of `stops`."""
    longest = max(map(len, stops), default=0)
    lengths = range(min(len(text), longest), 0, -1)
    return next((length for length in lengths if any(stop.startswith(text[-length:]) for stop in stops)), 0)


@runtime_checkable
class _Closes(Protocol):
    """Deltas that can be let go of before they end."""

    def close(self) -> None:
        """Take no more."""


class _Either(threading.Event):
    """Set when it was set itself, or when `other` was."""

    def __init__(self, other: threading.Event) -> None:
        super().__init__()
        self._other = other

    def is_set(self) -> bool:
        return super().is_set() or self._other.is_set()


def _number(modelfile: Modelfile, name: str) -> int | float | None:
    value = modelfile.parameter(name)
    return value if isinstance(value, int | float) else None
