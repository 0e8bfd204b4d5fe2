"""The tokens of one step, in arrays that llama.cpp reads in place."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np

from appliance.inference.llamacpp.library import library


class Batch:
    """Filled piece by piece, each piece a run of one sequence; made once and used for every step."""

    def __init__(self, limit: int) -> None:
        self.tokens = 0
        self.rows = 0
        """Outputs asked for so far; those of a piece are its last tokens."""
        self._token, self._position = np.zeros(limit, np.int32), np.zeros(limit, np.int32)
        self._sequence, self._owners = np.zeros(limit, np.int32), np.ones(limit, np.int32)
        self._output = np.zeros(limit, np.int8)
        size = self._sequence.itemsize
        self._sequences = np.arange(limit, dtype=np.uintp) * size + self._sequence.ctypes.data  # one pointer for each token
        self.native = library().llama_batch()
        kinds: dict[str, Any] = dict(self.native._fields_)
        for name, array in (
            ("token", self._token),
            ("pos", self._position),
            ("n_seq_id", self._owners),
            ("seq_id", self._sequences),
            ("logits", self._output),
        ):
            setattr(self.native, name, ctypes.cast(array.ctypes.data, kinds[name]))

    def clear(self) -> None:
        self.tokens = self.rows = 0

    def add(self, sequence: int, tokens: Sequence[int], position: int, *, outputs: int) -> tuple[int, int]:
        """Append `tokens`, the first of them at `position` of `sequence`; its first output's row and place in the batch."""
        start, end = self.tokens, self.tokens + len(tokens)
        self._token[start:end] = tokens
        self._position[start:end] = range(position, position + len(tokens))
        self._sequence[start:end] = sequence
        self._output[start:end] = 0
        self._output[end - outputs : end] = 1
        row = self.rows
        self.rows += outputs
        self.tokens = self.native.n_tokens = end
        return row, end - outputs
