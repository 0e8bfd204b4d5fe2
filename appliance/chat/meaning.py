"""How near a question and sentences are in meaning, by the embedder that the search uses anyway."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from appliance.chat.quotes import Similarity
from appliance.inference.runtime import Embeds


def similarity_of(embedder_factory: Callable[[], Embeds]) -> Similarity:
    """Cosines of a question with each of some sentences, computed in one batch."""

    def similarity(question: str, sentences: Sequence[str]) -> list[float]:
        vectors = embedder_factory().embed([question, *sentences])
        return [float(cosine) for cosine in vectors[1:] @ vectors[0]]

    return similarity
