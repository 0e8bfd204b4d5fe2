"""Word pieces of passages, stored small, and how well a question's pieces are met by them.

Late interaction (Khattab and Zaharia 2020, ColBERT): each piece of the question looks for the piece of the passage that is most
like it, in the context where it stands. Of each piece a passage keeps the signs of every second dimension, 24 bytes, and the
ranking is as good as by full vectors (`docs/decisions.md`). A question keeps its numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from appliance.inference.runtime import EmbeddedText, Embeds, EmbedsPieces, EmbedsQuestions

_EVERY = 2
_FUNCTION_WORD = 2.0
"""Weight of a piece whose word is no term of the index, where a rare word has about 8."""


def embedded(embedder: Embeds, texts: Sequence[str]) -> list[EmbeddedText]:
    """Texts with the vectors of their pieces, where the embedder gives them."""
    if isinstance(embedder, EmbedsPieces):
        return embedder.embed_pieces(texts)
    none = np.empty((0, 0), np.float32)
    return [EmbeddedText(vector, none, ()) for vector in embedder.embed(texts)]


def embedded_question(embedder: Embeds, question: str) -> EmbeddedText:
    """A question, read as one where the embedder makes a difference."""
    return embedder.embed_question(question) if isinstance(embedder, EmbedsQuestions) else embedded(embedder, [question])[0]


def packed_pieces(text: EmbeddedText) -> bytes:
    """The signs of a passage's pieces, as the index stores them; empty where the embedder gives none."""
    return np.packbits(text.pieces[:, ::_EVERY] > 0, axis=1).tobytes() if text.pieces.size else b""


def piece_weights(question: str, spans: Sequence[tuple[int, int]], rarity: Callable[[str], float]) -> NDArray[np.float32]:
    """What each piece counts: the rarity of the word it is part of, less where the word has many. They add up to 1."""
    words = [_word_around(question, start, end) for start, end in spans]
    pieces_of = Counter(words)
    weights = np.array(
        [max(rarity(question[start:end]), _FUNCTION_WORD) / pieces_of[start, end] ** 0.5 for start, end in words], np.float32
    )
    return weights / weights.sum() if weights.size else weights


def _word_around(text: str, start: int, end: int) -> tuple[int, int]:
    while start > 0 and text[start - 1].isalnum():
        start -= 1
    while end < len(text) and text[end].isalnum():
        end += 1
    return start, end


def likeness(pieces: NDArray[np.float32], weights: NDArray[np.float32], stored: Sequence[bytes]) -> NDArray[np.float32]:
    """For each stored passage, the weighed mean over the question's pieces of the best likeness found there; about 0 to 0.8."""
    asked = pieces[:, ::_EVERY]
    length = asked.shape[1]
    asked = asked / (np.maximum(np.linalg.norm(asked, axis=1, keepdims=True), 1e-9) * np.sqrt(length))
    columns, sums = asked.T.copy(), asked.sum(axis=1)
    best = np.empty(len(stored), np.float32)
    # one passage at a time stays in the processor's cache: half the time of one product over all
    for at, signs in enumerate(stored):
        bits = np.unpackbits(np.frombuffer(signs, np.uint8)).reshape(-1, -(-length // 8) * 8)[:, :length].astype(np.float32)
        # a sign is 2 * bit - 1
        best[at] = (2 * (bits @ columns).max(axis=0) - sums) @ weights
    return best
