"""The seams behind which models run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from appliance.inference.models import CompletionRequest, Delta, Health, Model, PromptMessage


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

    def health(self) -> Health:
        """Whether it can answer now, on what, and for how many; never raises."""

    def close(self) -> None:
        """Give the memory back."""


class Embeds(Protocol):
    """What searching and comparing need of an embedder."""

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One L2-normalised row for each text, in order."""
