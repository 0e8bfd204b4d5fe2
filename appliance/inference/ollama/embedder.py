"""An embedding model inside the Ollama of this machine, as the embedder of an index.

The server has no tokenizer to ask, so lengths are estimates; it is told not to truncate, and what it calls too long is divided.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from appliance.errors import ApplianceError, InvalidInput, SetupError, Unavailable
from appliance.inference.directions import of_length_one
from appliance.inference.ollama.client import LocalClient
from appliance.inference.ollama.models import list_models
from appliance.inference.ollama.names import same_name
from appliance.inference.runtime import EmbeddedText
from appliance.inference.store.embedding_form import EmbeddingForm
from appliance.inference.store.versions import ModelVersion

_BATCH = 8
_BYTES_PER_TOKEN = 4  # of English; a text that has more tokens is divided once the server says so
_WORD = re.compile(r"\S+")


class OllamaEmbedder:
    """Safe to share between threads. Before anything is sent, `require_allowed` says whether it may be."""

    def __init__(self, version: ModelVersion, name: str, client: LocalClient, require_allowed: Callable[[], None]) -> None:
        """`name` is what the server calls it. Raises `Denied`, `SetupError`, `Unavailable`."""
        if version.form is None:
            raise SetupError(f"It is not recorded how {version.id} makes vectors; connect it again.", code="setup.embedder")
        self._form: EmbeddingForm = version.form
        self._version, self._name, self._client = version, name, client
        self._require_allowed = require_allowed
        self.sha256 = version.vectors_sha256
        self.dimensions = version.form.dimensions
        self.max_tokens = version.context_tokens // 2
        """Longest text that is tried in one piece: half of what the model reads, since lengths are estimates."""
        self.embed(["."])

    def count_tokens(self, text: str) -> int:
        """About as many as a tokenizer would count."""
        return len(self.token_spans(text))

    def token_spans(self, text: str) -> list[tuple[int, int]]:
        """Start and end of what may be tokens: words, long ones divided evenly."""
        spans: list[tuple[int, int]] = []
        for word in _WORD.finditer(text):
            start, end = word.span()
            count = -(-len(word[0].encode("utf-8", "replace")) // _BYTES_PER_TOKEN)
            spans += pairwise(start + (end - start) * at // count for at in range(count + 1))
        return spans

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """One row of length 1 per text, in order, read as passages; nothing is cut.

        Raises `Denied` (`inference.embedding_forbidden`), `SetupError` (`setup.model_digest`), `Unavailable`.
        """
        return self._embedded(texts, self._form.passage_prefix)

    def embed_question(self, text: str) -> EmbeddedText:
        """As `embed`, read as a question."""
        return EmbeddedText(self._embedded([text], self._form.question_prefix)[0], np.empty((0, 0), np.float32), ())

    def _embedded(self, texts: Sequence[str], prefix: str) -> npt.NDArray[np.float32]:
        vectors = np.empty((len(texts), self.dimensions), np.float32)
        for start in range(0, len(texts), _BATCH):
            # each time: a policy is what it is now, and a name may stand for another model at any moment
            self._require_allowed()
            self._require_unchanged()
            vectors[start : start + _BATCH] = self._read(texts[start : start + _BATCH], prefix)
        return vectors

    def _require_unchanged(self) -> None:
        """A name that computes elsewhere by now is not among those that are listed, and is sent nothing."""
        found = [model.digest for model in list_models(self._client) if same_name(model.name, self._name)]
        if not found:
            raise Unavailable(f"Ollama has no model named {self._name} on this machine.", code="inference.no_model")
        if found != [self._version.sha256]:
            raise SetupError(
                f"{self._name} in Ollama is not the model that was connected; connect it again if that is meant.",
                code="setup.model_digest",
            )

    def _read(self, texts: Sequence[str], prefix: str) -> npt.NDArray[np.float32]:
        try:
            return self._checked(self._client.vectors(self._name, [prefix + text for text in texts]), len(texts))
        except InvalidInput as error:
            if error.stable_code != "inference.context_overflow":
                raise
            if len(texts) > 1:
                return np.concatenate([self._read([text], prefix) for text in texts])
            return self._divided(texts[0], prefix, error)

    def _divided(self, text: str, prefix: str, error: ApplianceError) -> npt.NDArray[np.float32]:
        """Of a text that is too long, the mean of its halves by their lengths."""
        middle = max(text.rfind(" ", 1, len(text) // 2), text.rfind("\n", 1, len(text) // 2)) + 1 or len(text) // 2
        halves = [half for half in (text[:middle], text[middle:]) if half]
        if len(halves) < 2:
            raise error
        total = sum(len(half) * self._read([half], prefix) for half in halves)
        return of_length_one(np.asarray(total, np.float32))

    def _checked(self, rows: object, expected: int) -> npt.NDArray[np.float32]:
        try:
            found = np.array(rows, np.float32)
        except (TypeError, ValueError):
            found = np.empty(0, np.float32)
        if found.shape != (expected, self.dimensions) or not np.isfinite(found).all():
            raise Unavailable(
                f"Ollama gave no vectors of {self.dimensions} numbers for {self._version.id}.", code="inference.failed"
            )
        return of_length_one(found)
