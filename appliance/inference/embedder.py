"""Text to vectors: an embedding model in ONNX Runtime, by default all-MiniLM-L6-v2 with eight-bit weights."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from appliance.errors import SetupError
from appliance.inference.models import Model
from appliance.inference.runtime import EmbeddedText, TextEmbedder
from appliance.inference.store import ModelStore
from appliance.inference.store.embedder_folder import GRAPH_FILE, TOKENIZER_FILE, VECTORS, pooling_of
from appliance.inference.store.embedding_form import CLS, EmbeddingForm
from appliance.inference.store.versions import ModelVersion
from appliance.inference.telemetry import silence

_BATCH = 8
_PIECES = "layer3.hidden"
"""The fourth of the six layers: its vectors of word pieces tell passages apart better than those of the last one
(`docs/decisions.md`, table of retrieval)."""


class Embedder:
    """Counts, locates and embeds text in the tokens of one model. Safe to share between threads."""

    def __init__(self, model: Model, session: Any, tokenizer: Any, form: EmbeddingForm, sha256: str = "") -> None:
        """The pooling of `form` is for graphs that give a vector for each token: their mean, or that of the first one (`CLS`).

        `sha256` is what its vectors are known by, the model's own digest where it is empty.
        """
        self.model = model
        self.sha256 = sha256 or model.sha256
        self._form = form
        self._special: int = tokenizer.num_special_tokens_to_add(is_pair=False)
        longest = max(len(tokenizer.encode(text, add_special_tokens=False).ids) for text in form.prefixes)
        self.max_tokens = model.context_tokens - self._special - longest
        """Longest text that is embedded whole, in tokens as `count_tokens` counts them."""
        self._session = session
        names = [output.name for output in session.get_outputs()]
        self._embedding = next((name for name in VECTORS if name in names), names[0])
        self._outputs = [self._embedding, *(name for name in names if name == _PIECES)]
        self._inputs = {given.name for given in session.get_inputs()}
        self._tokenizer = tokenizer
        self._limit = model.context_tokens
        shape = next(output.shape for output in session.get_outputs() if output.name == self._embedding)
        self.dimensions: int = shape[-1] if isinstance(shape[-1], int) else self._run([[0]]).shape[1]

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
        read = [self._form.passage_prefix + text for text in texts]
        rows = [self._cut(encoding.ids) for encoding in self._tokenizer.encode_batch_fast(read)]
        # texts of like length share a batch, so that little is spent on padding
        order = sorted(range(len(rows)), key=lambda index: len(rows[index]))
        for start in range(0, len(order), _BATCH):
            members = order[start : start + _BATCH]
            vectors[members] = self._run([rows[index] for index in members])
        return vectors

    def embed_pieces(self, texts: Sequence[str]) -> list[EmbeddedText]:
        """What `embed` gives, and the vectors of the pieces that hold a letter or a digit, from the same run."""
        return self._with_pieces(texts, self._form.passage_prefix)

    def embed_question(self, text: str) -> EmbeddedText:
        """As `embed_pieces`, read as a question."""
        return self._with_pieces([text], self._form.question_prefix)[0]

    def _with_pieces(self, texts: Sequence[str], prefix: str) -> list[EmbeddedText]:
        found: dict[int, EmbeddedText] = {}
        before = len(prefix)
        encodings = self._tokenizer.encode_batch([prefix + text for text in texts])
        rows = [self._cut(encoding.ids) for encoding in encodings]
        order = sorted(range(len(rows)), key=lambda index: len(rows[index]))
        for start in range(0, len(order), _BATCH):
            members = order[start : start + _BATCH]
            vectors, *hidden = self._outputs_of([rows[index] for index in members], self._outputs)
            for at, index in enumerate(members):
                text = texts[index]
                spans = [(first - before, end - before) for first, end in encodings[index].offsets[: len(rows[index]) - 1]]
                told = (
                    [place for place, (first, end) in enumerate(spans) if first >= 0 and any(map(str.isalnum, text[first:end]))]
                    if hidden
                    else []
                )
                pieces = hidden[0][at, told] if hidden else np.empty((0, 0), np.float32)
                found[index] = EmbeddedText(vectors[at], pieces, tuple(spans[place] for place in told))
        return [found[index] for index in range(len(rows))]

    def _cut(self, ids: list[int]) -> list[int]:
        return ids if len(ids) <= self._limit else [*ids[: self._limit - 1], ids[-1]]

    def _run(self, rows: list[list[int]]) -> Any:
        return self._outputs_of(rows, [self._embedding])[0]

    def _outputs_of(self, rows: list[list[int]], names: list[str]) -> Any:
        shape = len(rows), max(map(len, rows))
        tokens, mask = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        for index, row in enumerate(rows):
            tokens[index, : len(row)] = row
            mask[index, : len(row)] = 1
        given = {"input_ids": tokens, "attention_mask": mask, "token_type_ids": np.zeros(shape, np.int64)}
        found = self._session.run(names, {name: value for name, value in given.items() if name in self._inputs})
        if self._embedding != VECTORS[0]:  # ours are of length 1
            found[0] = self._pooled(found[0], mask)
        return found

    def _pooled(self, values: npt.NDArray[np.float32], mask: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """One vector of length 1 for each text."""
        if values.ndim == 3:
            values = values[:, 0] if self._form.pooling == CLS else (values * mask[:, :, None]).sum(axis=1)
        pooled: npt.NDArray[np.float32] = values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)
        return pooled.astype(np.float32, copy=False)


def load_embedder(
    models: ModelStore, *, threads: int, model_id: str = "", served: Callable[[ModelVersion], TextEmbedder] | None = None
) -> TextEmbedder:
    """An embedding model, the active one where none is named, its digest checked. Raises `SetupError`, `Unavailable`.

    `served` opens one that stays inside a server; without it that is refused.
    """
    model = models.model(model_id) if model_id else models.active("embedding")
    version = next((version for version in models.versions() if version.id == model.id), None)
    if version is not None and version.format == "served":
        if served is None:
            raise SetupError(f"{version.id} lives in a server, which is not asked from here.", code="setup.embedder")
        return served(version)
    if version is None or not (version.files or version.format == "gguf"):
        return open_embedder(model, models.verified_path(model), models.verified_tokenizer(), threads)
    opened = models.open_version(version.id)
    try:
        return open_imported(model, opened.path, threads, version.form, version.vectors_sha256)
    finally:
        opened.close()  # what is loaded is in the library's own memory


def open_imported(model: Model, path: Path, threads: int, form: EmbeddingForm | None, sha256: str = "") -> TextEmbedder:
    """An embedder from a folder, or from a GGUF file, which `form` describes; `sha256` is what its vectors are known by."""
    if path.is_dir():
        return open_folder(model, path, threads, form, sha256)
    if find_spec("llama_cpp") is None:
        raise SetupError("llama-cpp-python is not installed, which GGUF embedding models need.", code="setup.embedder")
    from appliance.inference.llamacpp.embedder import GgufEmbedder

    return GgufEmbedder(model, path, form or EmbeddingForm(), threads, sha256)


def open_folder(model: Model, folder: Path, threads: int, form: EmbeddingForm | None = None, sha256: str = "") -> Embedder:
    """An embedder from a folder as `store/embedder_folder.py` takes it in, which itself says how vectors are joined."""
    form = replace(form or EmbeddingForm(), pooling=pooling_of(folder))
    return open_embedder(model, folder / GRAPH_FILE, folder / TOKENIZER_FILE, threads, form, sha256=sha256)


def open_embedder(
    model: Model,
    graph_path: Path,
    tokenizer_path: Path,
    threads: int,
    form: EmbeddingForm | None = None,
    *,
    sha256: str = "",
) -> Embedder:
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
        graph.write(_telling_pieces(graph_path.read_bytes()))
        graph.flush()
        path = f"/proc/self/fd/{graph.fileno()}"
        try:
            session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # of several kinds, all from native code
            raise SetupError(f"The embedding model {model.id} does not run on this machine.", code="setup.embedder") from error
    return Embedder(model, session, tokenizer, form or EmbeddingForm(), sha256)


def _telling_pieces(graph: bytes) -> bytes:
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
