"""A runtime whose prompts leave the box, lent for the documents of one classification: the gate asks for it with each prompt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from appliance.inference.models import CompletionRequest, Delta, Health, Model, PromptMessage
from appliance.inference.runtime import Runtime


class Sender(Runtime, Protocol):
    """What is lent."""

    def count(self, messages: Sequence[PromptMessage], classification: str) -> int:
        """As `Runtime.count_tokens`, for messages that hold nothing above the classification."""

    def answer(self, request: CompletionRequest, classification: str) -> Iterator[Delta]:
        """As `Runtime.complete`, likewise."""


class Lent:
    """A runtime for the prompts of one classification."""

    def __init__(self, runtime: Sender, classification: str) -> None:
        self._runtime, self._classification = runtime, classification

    @property
    def model(self) -> Model:
        return self._runtime.model

    @property
    def context_tokens(self) -> int:
        return self._runtime.context_tokens

    def count_tokens(self, messages: Sequence[PromptMessage]) -> int:
        return self._runtime.count(messages, self._classification)

    def complete(self, request: CompletionRequest) -> Iterator[Delta]:
        return self._runtime.answer(request, self._classification)

    def health(self) -> Health:
        return self._runtime.health()

    def close(self) -> None:
        """Lent, not given: the runtime stays."""
