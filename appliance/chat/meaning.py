"""How near a question and sentences are in meaning, by the embedder that the search uses anyway."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from appliance.chat.quotes import Similarity


class Embeds(Protocol):
    """What is needed of `inference.embedder.Embedder`: unit vectors, one a text."""

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]: ...


def similarity_of(embedder_factory: Callable[[], Embeds]) -> Similarity:
    """Cosines of a question with each of some sentences, computed in one batch."""

    def similarity(question: str, sentences: Sequence[str]) -> list[float]:
        vectors = embedder_factory().embed([question, *sentences])
        return [float(cosine) for cosine in vectors[1:] @ vectors[0]]

    return similarity
