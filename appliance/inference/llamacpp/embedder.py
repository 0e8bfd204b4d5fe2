"""A GGUF embedding model as the embedder of an index: texts counted and divided in its own tokens, vectors of length 1.

It gives no vectors of word pieces, so that ranking does without its second likeness (`retrieval/pieces.py`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from appliance.errors import SetupError
from appliance.inference.directions import of_length_one
from appliance.inference.llamacpp.room import require_free_memory
from appliance.inference.llamacpp.vectors import VectorModel
from appliance.inference.models import Model
from appliance.inference.runtime import EmbeddedText
from appliance.inference.store.embedding_form import EmbeddingForm

WINDOW_TOKENS = 1_024
"""Most that is read at once, whatever a model was trained for: working memory grows with its square, passages are short."""

_LEAST_ROOM = 16
_WORD = re.compile(r"\S+")
_KNOWN_WORDS = 50_000
_SHORTEST = 1e-6  # of a vector; below it no direction is left


class GgufEmbedder:
    """Counts, locates and embeds text in the tokens of one model. Safe to share between threads."""

    def __init__(self, model: Model, path: Path, form: EmbeddingForm, threads: int, sha256: str = "") -> None:
        """`sha256` is what its vectors are known by, the model's own digest where it is empty.

        Raises `SetupError` (`setup.embedder`) where the file is another model than `form` was read from, `Unavailable` where it
        cannot be loaded.
        """
        require_free_memory(path, model.id)
        self.model = model
        self.sha256 = sha256 or model.sha256
        window = min(model.context_tokens, WINDOW_TOKENS)
        self._native = VectorModel(path, name=model.id, window=window, threads=threads, pooling=form.pooling)
        self.dimensions = self._native.dimensions
        if form.dimensions not in {0, self.dimensions}:
            raise SetupError(
                f"The vectors of {model.id} have {self.dimensions} numbers instead of {form.dimensions}.", code="setup.embedder"
            )
        self._before, self._after = _frame(self._native)
        self._question, self._passage = map(self._native.tokenise, form.prefixes)
        longest = max(len(self._question), len(self._passage))
        self.max_tokens = self._native.window - len(self._before) - len(self._after) - longest
        """Longest text that is embedded in one piece, in tokens as `count_tokens` counts them."""
        if self.max_tokens < _LEAST_ROOM:
            raise SetupError(f"The embedding model {model.id} has no room for a text.", code="setup.embedder")
        self._lengths: dict[str, int] = {}

    def count_tokens(self, text: str) -> int:
        """Tokens of `text` itself, however long it is."""
        return len(self._native.tokenise(text))

    def token_spans(self, text: str) -> list[tuple[int, int]]:
        """Start and end of each token of `text`, as character offsets: exact to the word, whose tokens share it evenly.

        The library does not say where its tokens stand.
        """
        spans: list[tuple[int, int]] = []
        for word in _WORD.finditer(text):
            start, end = word.span()
            count = self._length(f" {word[0]}" if self._native.spaces_count and start else word[0])
            marks = [start + (end - start) * at // count for at in range(count + 1)]
            spans += pairwise(marks)
        return spans

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """One row of length 1 per text, in order, read as passages. Nothing is cut: of a text beyond `max_tokens` it is the mean
        of its parts. Raises `Unavailable` (`inference.failed`).
        """
        return self._embedded(texts, self._passage)

    def embed_question(self, text: str) -> EmbeddedText:
        """As `embed`, read as a question."""
        return EmbeddedText(self._embedded([text], self._question)[0], np.empty((0, 0), np.float32), ())

    def _embedded(self, texts: Sequence[str], prefix: list[int]) -> npt.NDArray[np.float32]:
        rows, owners, weights = list[list[int]](), list[int](), list[int]()
        for at, text in enumerate(texts):
            for part in _parts(self._native.tokenise(text), self.max_tokens):
                rows.append([*self._before, *prefix, *part, *self._after])
                owners.append(at)
                weights.append(max(len(part), 1))
        vectors = np.zeros((len(texts), self.dimensions), np.float32)
        read = of_length_one(self._native.vectors(rows)) if rows else np.empty((0, self.dimensions), np.float32)
        np.add.at(vectors, owners, read * np.array(weights, np.float32)[:, None])
        return of_length_one(vectors)

    def _length(self, word: str) -> int:
        known = self._lengths.get(word)
        if known is None:
            if len(self._lengths) >= _KNOWN_WORDS:
                self._lengths = {}
            known = self._lengths[word] = max(1, len(self._native.tokenise(word)))
        return known


def _frame(native: VectorModel) -> tuple[list[int], list[int]]:
    """What the model wants before and after every text. Raises `SetupError` where that depends on the text."""
    plain, framed = native.tokenise("a"), native.tokenise("a", framed=True)
    for start in range(len(framed) - len(plain) + 1):
        if framed[start : start + len(plain)] == plain:
            return framed[:start], framed[start + len(plain) :]
    raise SetupError("The tokenizer of this embedding model is not known here.", code="setup.embedder")


def _parts(tokens: list[int], limit: int) -> list[list[int]]:
    """The tokens in parts that fit, of about the same length; an empty text is one part."""
    count = max(1, -(-len(tokens) // limit))
    marks = [len(tokens) * at // count for at in range(count + 1)]
    return [tokens[start:end] for start, end in pairwise(marks)]
