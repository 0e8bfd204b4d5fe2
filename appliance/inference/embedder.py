"""Text to vectors: all-MiniLM-L6-v2 in ONNX Runtime, with eight-bit weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from appliance.inference.models import Model
from appliance.inference.store import ModelStore
from appliance.inference.telemetry import silence

_SPECIAL_TOKENS = 2  # one before the text, one after it
_BATCH = 8


class Embedder:
    """Counts, locates and embeds text in the tokens of one model. Safe to share between threads."""

    def __init__(self, model: Model, session: Any, tokenizer: Any) -> None:
        self.model = model
        self.dimensions: int = session.get_outputs()[0].shape[1]
        self.max_tokens = model.context_tokens - _SPECIAL_TOKENS
        """Longest text that is embedded whole, in tokens as `count_tokens` counts them."""
        self._session = session
        self._tokenizer = tokenizer

    def count_tokens(self, text: str) -> int:
        """Tokens of `text` itself, however long it is."""
        return len(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def token_spans(self, text: str) -> list[tuple[int, int]]:
        """Start and end of each token of `text`, as character offsets."""
        spans: list[tuple[int, int]] = self._tokenizer.encode(text, add_special_tokens=False).offsets
        return spans

    def token_ids(self, text: str) -> list[int]:
        """What the model reads for `text`: special tokens added, cut at the model's limit."""
        return self._cut(self._tokenizer.encode(text).ids)

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """One row of length 1 per text, in order. Text beyond `max_tokens` does not count; `count_tokens` tells beforehand."""
        vectors = np.empty((len(texts), self.dimensions), np.float32)
        rows = [self._cut(encoding.ids) for encoding in self._tokenizer.encode_batch_fast(list(texts))]
        # texts of like length share a batch, so that little is spent on padding
        order = sorted(range(len(rows)), key=lambda index: len(rows[index]))
        for start in range(0, len(order), _BATCH):
            members = order[start : start + _BATCH]
            vectors[members] = self._run([rows[index] for index in members])
        return vectors

    def _cut(self, ids: list[int]) -> list[int]:
        limit = self.max_tokens + _SPECIAL_TOKENS
        return ids if len(ids) <= limit else [*ids[: limit - 1], ids[-1]]

    def _run(self, rows: list[list[int]]) -> Any:
        shape = len(rows), max(map(len, rows))
        tokens, mask = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        for index, row in enumerate(rows):
            tokens[index, : len(row)] = row
            mask[index, : len(row)] = 1
        return self._session.run(["embedding"], {"input_ids": tokens, "attention_mask": mask})[0]


def load_embedder(models: ModelStore, *, threads: int) -> Embedder:
    """The active embedding model, its digest checked. Raises `SetupError`."""
    model = models.active("embedding")
    return open_embedder(model, models.verified_path(model), models.verified_tokenizer(), threads)


def open_embedder(model: Model, graph_path: Path, tokenizer_path: Path, threads: int) -> Embedder:
    """An embedder from files that were verified, or made, a moment ago."""
    silence()
    import onnxruntime
    from tokenizers import Tokenizer

    onnxruntime.disable_telemetry_events()
    tokenizer = Tokenizer.from_file(str(tokenizer_path))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # the language model shares these cores: waiting threads sleep instead of spinning
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(str(graph_path), options, providers=["CPUExecutionProvider"])
    return Embedder(model, session, tokenizer)
