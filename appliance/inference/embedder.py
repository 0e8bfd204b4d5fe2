"""Text to vectors: all-MiniLM-L6-v2 in ONNX Runtime, with eight-bit weights."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from appliance.inference.models import Model
from appliance.inference.runtime import EmbeddedText
from appliance.inference.store import ModelStore
from appliance.inference.telemetry import silence

_SPECIAL_TOKENS = 2  # one before the text, one after it
_BATCH = 8
_PIECES = "layer3.hidden"
"""The fourth of the six layers: its vectors of word pieces tell passages apart better than those of the last one
(`docs/decisions.md`, table of retrieval)."""


class Embedder:
    """Counts, locates and embeds text in the tokens of one model. Safe to share between threads."""

    def __init__(self, model: Model, session: Any, tokenizer: Any) -> None:
        self.model = model
        self.dimensions: int = session.get_outputs()[0].shape[1]
        self.max_tokens = model.context_tokens - _SPECIAL_TOKENS
        """Longest text that is embedded whole, in tokens as `count_tokens` counts them."""
        self._session = session
        self._outputs = [output.name for output in session.get_outputs() if output.name in ("embedding", _PIECES)]
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

    def embed_pieces(self, texts: Sequence[str]) -> list[EmbeddedText]:
        """What `embed` gives, and the vectors of the pieces that hold a letter or a digit, from the same run."""
        found: dict[int, EmbeddedText] = {}
        encodings = self._tokenizer.encode_batch(list(texts))
        rows = [self._cut(encoding.ids) for encoding in encodings]
        order = sorted(range(len(rows)), key=lambda index: len(rows[index]))
        for start in range(0, len(order), _BATCH):
            members = order[start : start + _BATCH]
            vectors, *hidden = self._outputs_of([rows[index] for index in members], self._outputs)
            for at, index in enumerate(members):
                text, spans = texts[index], encodings[index].offsets[: len(rows[index]) - 1]
                told = (
                    [place for place, (first, end) in enumerate(spans) if any(map(str.isalnum, text[first:end]))]
                    if hidden
                    else []
                )
                pieces = hidden[0][at, told] if hidden else np.empty((0, self.dimensions), np.float32)
                found[index] = EmbeddedText(vectors[at], pieces, tuple(spans[place] for place in told))
        return [found[index] for index in range(len(rows))]

    def _cut(self, ids: list[int]) -> list[int]:
        limit = self.max_tokens + _SPECIAL_TOKENS
        return ids if len(ids) <= limit else [*ids[: limit - 1], ids[-1]]

    def _run(self, rows: list[list[int]]) -> Any:
        return self._outputs_of(rows, ["embedding"])[0]

    def _outputs_of(self, rows: list[list[int]], names: list[str]) -> Any:
        shape = len(rows), max(map(len, rows))
        tokens, mask = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        for index, row in enumerate(rows):
            tokens[index, : len(row)] = row
            mask[index, : len(row)] = 1
        return self._session.run(names, {"input_ids": tokens, "attention_mask": mask})


def load_embedder(models: ModelStore, *, threads: int) -> Embedder:
    """The active embedding model, its digest checked. Raises `SetupError`."""
    model = models.active("embedding")
    return open_embedder(model, models.verified_path(model), models.verified_tokenizer(), threads)


def open_embedder(model: Model, graph_path: Path, tokenizer_path: Path, threads: int) -> Embedder:
    """An embedder from files that were verified, or made, a moment ago."""
    silence()
    import onnxruntime
    from tokenizers import Tokenizer

    silence(onnxruntime)
    tokenizer = Tokenizer.from_file(str(tokenizer_path))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # the language model shares these cores: waiting threads sleep instead of spinning
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # from a file that is memory: from bytes the runtime keeps 30 MB more for as long as it lives
    with os.fdopen(os.memfd_create("embedder"), "wb") as graph:
        graph.write(_with_pieces(graph_path.read_bytes()))
        graph.flush()
        path = f"/proc/self/fd/{graph.fileno()}"
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return Embedder(model, session, tokenizer)


def _with_pieces(graph: bytes) -> bytes:
    """The graph with one more output, where it computes it anyway.

    What is appended to a serialised message is merged into it, lists being joined (Protocol Buffers, "Last One Wins"), so a
    few bytes do it, without the library that wrote the graph: ModelProto.graph.output[+] = {name, type.tensor_type.elem_type}.
    """
    name = _PIECES.encode()
    if name not in graph:
        return graph
    float_tensor = _message(1, b"\x08\x01")
    return graph + _message(7, _message(12, _message(1, name) + _message(2, float_tensor)))


def _message(number: int, content: bytes) -> bytes:
    """A field that holds bytes; its tag, its length, which must be below 128, and the bytes."""
    return bytes([number << 3 | 2, len(content)]) + content
