"""The seams behind which models run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

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


@runtime_checkable
class SendsElsewhere(Protocol):
    """A runtime whose prompts leave the box: it is lent for one classification of documents at a time."""

    def under(self, classification: str) -> Runtime:
        """The same model, for prompts that hold nothing above this classification."""


class Embeds(Protocol):
    """What searching and comparing need of an embedder."""

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One L2-normalised row for each text, in order."""


@runtime_checkable
class Identified(Protocol):
    """An embedder that says which model it is."""

    @property
    def sha256(self) -> str:
        """Digest of the model: vectors of two digests never compare."""


def model_digest(embedder: Embeds) -> str:
    """The digest that vectors of this embedder carry; empty for one that does not say."""
    return embedder.sha256 if isinstance(embedder, Identified) else ""


@dataclass(frozen=True, slots=True)
class EmbeddedText:
    """A text as the embedder reads it: as one vector, and as one vector for each of its word pieces in their context.

    `vector` is L2-normalised; `pieces` has a row for each piece that holds a letter or a digit, and `spans` says where it stands
    in the text. A model that gives no vectors of pieces leaves both empty.
    """

    vector: NDArray[np.float32]
    pieces: NDArray[np.float32]
    spans: tuple[tuple[int, int], ...]


class TextEmbedder(Embeds, Identified, Protocol):
    """What an index is made with: texts counted and divided in the tokens of one model, and its vectors."""

    @property
    def dimensions(self) -> int:
        """Numbers of a vector."""

    @property
    def max_tokens(self) -> int:
        """Longest text that is embedded in one piece."""

    def count_tokens(self, text: str) -> int:
        """Tokens of `text`, however long it is."""

    def token_spans(self, text: str) -> list[tuple[int, int]]:
        """Where each token stands in `text`."""


@runtime_checkable
class EmbedsPieces(Embeds, Protocol):
    """An embedder that also tells what each piece of a text means where it stands."""

    def embed_pieces(self, texts: Sequence[str]) -> list[EmbeddedText]:
        """One for each text, in order."""


@runtime_checkable
class EmbedsQuestions(Embeds, Protocol):
    """An embedder that reads questions otherwise than passages."""

    def embed_question(self, text: str) -> EmbeddedText:
        """A question as it is compared with passages."""
