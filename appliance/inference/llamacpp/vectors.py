"""llama.cpp as an embedder, thin and typed: load, tokenise, rows of tokens to vectors. No policy."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from appliance.errors import Unavailable
from appliance.inference.llamacpp.batch import Batch
from appliance.inference.llamacpp.library import last_error, library
from appliance.inference.store.embedding_form import CLS, LAST, MEAN

_POOLINGS: Mapping[str, int] = MappingProxyType({MEAN: 1, CLS: 2, LAST: 3})  # llama.h, llama_pooling_type
_TEXTS = 4
"""Texts of one run: with more the processor gains nothing, measured with 160 tokens each."""
_BYTE_PAIRS = 2  # llama.h, llama_vocab_type


class VectorModel:
    """Weights and vocabulary of one GGUF file, and a context that holds `window` tokens at a time. Freed with the last reference.

    Raises `Unavailable` (`inference.load_failed`).
    """

    def __init__(self, path: Path, *, name: str, window: int, threads: int, pooling: str) -> None:
        lib = self._lib = library()
        parameters = lib.llama_model_default_params()
        parameters.n_gpu_layers = 0
        parameters.load_mode = lib.LLAMA_LOAD_MODE_NONE  # as for language models: read, not mapped
        self._model = lib.llama_model_load_from_file(str(path).encode(), parameters)
        if not self._model:
            raise _failed(f"The embedding model {name} could not be loaded.")
        self.window = min(window, lib.llama_model_n_ctx_train(self._model))
        self.dimensions: int = lib.llama_model_n_embd_out(self._model)
        self._vocabulary = lib.llama_model_get_vocab(self._model)
        self.spaces_count: bool = lib.llama_vocab_type(self._vocabulary) == _BYTE_PAIRS
        """Whether a word is other tokens after a space than without one."""
        self._context = lib.llama_init_from_model(self._model, self._context_parameters(threads, pooling))
        if not self._context:
            lib.llama_model_free(self._model)
            raise _failed(f"There is not enough memory for the embedding model {name}.")
        self._memory = lib.llama_get_memory(self._context)  # models that read both ways have none
        self._batch = Batch(self.window)
        self._running = threading.Lock()
        weakref.finalize(self, _free, lib, self._context, self._model)

    def _context_parameters(self, threads: int, pooling: str) -> Any:
        parameters = self._lib.llama_context_default_params()
        parameters.embeddings = True
        parameters.pooling_type = _POOLINGS[pooling]
        # a text is read in one piece, and a longer batch aborts the process
        parameters.n_ctx = parameters.n_batch = parameters.n_ubatch = self.window
        parameters.n_seq_max = _TEXTS
        parameters.kv_unified = True
        parameters.n_threads = parameters.n_threads_batch = threads
        parameters.no_perf = True
        return parameters

    def tokenise(self, text: str, *, framed: bool = False) -> list[int]:
        """Tokens of `text`, words in it that look like control tokens read as words; `framed` by what the model wants around."""
        data = text.encode("utf-8", "replace")
        room = len(data) + 8
        while True:
            tokens = (self._lib.llama_token * room)()
            count = self._lib.llama_tokenize(self._vocabulary, data, len(data), tokens, room, framed, False)
            if count >= 0:
                return list(tokens[:count])
            room = -count

    def vectors(self, rows: Sequence[Sequence[int]]) -> npt.NDArray[np.float32]:
        """A vector for each row of at most `window` tokens, in order, as the model gives it.

        Raises `Unavailable` (`inference.failed`), also for numbers that are none.
        """
        found = np.empty((len(rows), self.dimensions), np.float32)
        with self._running:
            for members in _packed(rows, self.window):
                found[members] = self._run([rows[at] for at in members])
        if not np.isfinite(found).all():
            raise Unavailable("The embedding model gives numbers that are none.", code="inference.failed")
        return found

    def _run(self, rows: Sequence[Sequence[int]]) -> npt.NDArray[np.float32]:
        self._batch.clear()
        for sequence, tokens in enumerate(rows):
            self._batch.add(sequence, tokens, 0, outputs=len(tokens))
        if self._memory is None:
            code = self._lib.llama_encode(self._context, self._batch.native)
        else:
            self._lib.llama_memory_clear(self._memory, True)
            code = self._lib.llama_decode(self._context, self._batch.native)
        if code != 0:
            raise Unavailable(
                f"The embedding model stopped working. {last_error()}".strip(), code="inference.failed", status=code
            )
        found = np.empty((len(rows), self.dimensions), np.float32)
        for sequence in range(len(rows)):
            address = self._lib.llama_get_embeddings_seq(self._context, sequence)
            if not address:
                raise Unavailable("The embedding model gave no vector.", code="inference.failed")
            found[sequence] = np.ctypeslib.as_array(address, (self.dimensions,))
        return found


def _packed(rows: Sequence[Sequence[int]], room: int) -> list[list[int]]:
    """Places of rows that are run together, rows of like length beside each other."""
    batches: list[list[int]] = []
    left = 0
    for at in sorted(range(len(rows)), key=lambda at: len(rows[at])):
        if not batches or len(rows[at]) > left or len(batches[-1]) == _TEXTS:
            batches.append([])
            left = room
        batches[-1].append(at)
        left -= len(rows[at])
    return batches


def _failed(sentence: str) -> Unavailable:
    return Unavailable(f"{sentence} {last_error()}".strip(), code="inference.load_failed")


def _free(lib: Any, context: Any, model: Any) -> None:
    lib.llama_free(context)
    lib.llama_model_free(model)
