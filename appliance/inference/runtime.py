"""The seam behind which language models run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from appliance.inference.models import CompletionRequest, Delta, Model, PromptMessage


class Runtime(Protocol):
    """What every way of running a language model offers. Implementations raise `Unavailable` when they cannot answer."""

    @property
    def model(self) -> Model:
        """The model that answers."""

    @property
    def context_tokens(self) -> int:
        """Room for prompt and answer together, in tokens of this model."""

    def count_tokens(self, messages: Sequence[PromptMessage]) -> int:
        """Exact length of the prompt these messages make, chat template included."""

    def complete(self, request: CompletionRequest) -> Iterator[Delta]:
        """Stream the answer. Raises `InvalidInput` (`inference.context_overflow`) rather than cut a prompt."""

    def close(self) -> None:
        """Give the memory back."""
