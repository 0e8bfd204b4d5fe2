"""Passages for a model that did not divide them: of one longer than its window, the mean of its windows is its vector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from appliance.documents.chunking import Tokens
from appliance.inference.runtime import EmbeddedText, Embeds
from appliance.retrieval.pieces import embedded


class PassageEmbedder(Tokens, Embeds, Protocol):
    """What dividing and embedding passages needs of an embedder."""


def embedded_whole(embedder: PassageEmbedder, texts: Sequence[str]) -> list[tuple[EmbeddedText, int]]:
    """Each text with its length in tokens. No text is cut: vectors of windows are averaged by their tokens, pieces joined."""
    parts, owners, weights = list[str](), list[int](), list[int]()
    for at, text in enumerate(texts):
        for part, count in windows(embedder, text):
            parts.append(part)
            owners.append(at)
            weights.append(count)
    read = embedded(embedder, parts)
    by_text: list[list[int]] = [[] for _ in texts]
    for place, owner in enumerate(owners):
        by_text[owner].append(place)
    return [_joined([read[place] for place in places], [weights[place] for place in places]) for places in by_text]


def windows(embedder: Tokens, text: str) -> list[tuple[str, int]]:
    """The text in parts that fit, of about the same length, cut between words where there are any; and the tokens of each."""
    spans, limit = embedder.token_spans(text), embedder.max_tokens
    parts, first = list[tuple[str, int]](), 0
    while len(spans) - first > limit:
        left = len(spans) - first
        cut = first + -(-left // -(-left // limit))
        between = next((at for at in range(cut, first + 1, -1) if text[spans[at][0] - 1].isspace()), cut)
        start = spans[first][0] if first else 0
        parts.append((text[start : spans[between][0]], between - first))
        first = between
    parts.append((text[spans[first][0] if first else 0 :], len(spans) - first))
    return parts


def _joined(parts: Sequence[EmbeddedText], counts: Sequence[int]) -> tuple[EmbeddedText, int]:
    if len(parts) == 1:
        return parts[0], counts[0]
    total = np.sum([count * part.vector for part, count in zip(parts, counts, strict=True)], axis=0)
    vector = (total / max(float(np.linalg.norm(total)), 1e-12)).astype(np.float32)
    return EmbeddedText(vector, np.concatenate([part.pieces for part in parts]), ()), sum(counts)
