"""A thin, typed layer over llama.cpp's C interface: load, count, decode. No policy.

The C interface rather than the library's high-level object: that one parses special tokens inside message text, cuts prompts
that are too long, serves one sequence at a time and cannot stop in the middle of a prompt.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from appliance.errors import SetupError, Unavailable
from appliance.inference.llamacpp.batch import Batch
from appliance.inference.llamacpp.library import abort_function, last_error, library, prompt_library
from appliance.inference.llamacpp.sampling import Sampler, Sampling

BATCH_TOKENS = 256
"""Longer batches are hardly faster on a processor, take more memory, and keep whoever joins waiting."""

_ABORTED = 2
_FLASH_ATTENTION = 1  # without it a unified cache costs every sequence the length of all
_ALL_LAYERS = 999
_COUNT_ALIKE = frozenset({"cuda", "hip", "sycl"})


class DecodeAborted(Exception):
    """Raised when the abort flag was set while tokens were read."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """A LoRA adapter to apply to the weights, and how strongly."""

    path: Path
    scale: float = 1.0


def card_number(device: str, library: str) -> int | None:
    """The number of the card as the library counts; None where that is not known: Vulkan counts cards of all makers together."""
    number = device.partition(":")[2]
    return int(number) if library in _COUNT_ALIKE and number else None


class NativeModel:
    """Weights and vocabulary of one GGUF file, and one context to decode several sequences in.

    `context_tokens` is the room of all sequences together; `outputs` is for how many tokens of a batch the next one can be asked.
    `card` is the one to use where there are several; without it, all of them share the layers.
    """

    def __init__(
        self,
        path: Path,
        *,
        context_tokens: int,
        threads: int,
        name: str = "",
        sequences: int = 1,
        outputs: int = 1,
        gpu: bool = False,
        card: int | None = None,
        adapters: Sequence[Adapter] = (),
    ) -> None:
        lib = self._lib = library()
        self._memory = None
        self._reading = threading.Lock()  # the vocabulary is used beside a running answer, and must outlive each use
        parameters = lib.llama_model_default_params()
        parameters.n_gpu_layers = _ALL_LAYERS if gpu else 0
        if card is not None:
            parameters.split_mode, parameters.main_gpu = lib.LLAMA_SPLIT_MODE_NONE, card
        self.layers_on_gpu = bool(gpu and lib.llama_supports_gpu_offload())
        """Whether its layers are on a card: where the library finds none, it computes on the processor without a word."""
        # read, not mapped: the kernels repack most weights, and a mapped file would stay in memory beside the copy
        parameters.load_mode = lib.LLAMA_LOAD_MODE_NONE
        self._model = lib.llama_model_load_from_file(str(path).encode(), parameters)
        if not self._model:
            raise Unavailable(
                f"The language model {name or path.name} could not be loaded. {last_error()}".strip(),
                code="inference.load_failed",
            )
        self.trained_context_tokens: int = lib.llama_model_n_ctx_train(self._model)
        self.rewinds = not (lib.llama_model_is_recurrent(self._model) or lib.llama_model_is_hybrid(self._model))
        """Whether a part of what a sequence has read can be forgotten again."""
        self._vocabulary = lib.llama_model_get_vocab(self._model)
        self._words: int = lib.llama_vocab_n_tokens(self._vocabulary)
        self._pieces: dict[int, bytes] = {}
        self._ends: dict[int, bool] = {}
        self.abort_flag = ctypes.create_string_buffer(2)
        given = self._context_parameters(context_tokens, threads, sequences, outputs)
        self._context = lib.llama_init_from_model(self._model, given)
        if not self._context:
            lib.llama_model_free(self._model)
            raise Unavailable(
                f"There is not enough memory for a context of {context_tokens} tokens. {last_error()}".strip(),
                code="inference.load_failed",
            )
        self._adapt(adapters)
        self._memory = lib.llama_get_memory(self._context)
        self.batch = Batch(BATCH_TOKENS)

    def _context_parameters(self, context_tokens: int, threads: int, sequences: int, outputs: int) -> Any:
        parameters = self._lib.llama_context_default_params()
        parameters.n_ctx = context_tokens
        parameters.n_batch = parameters.n_ubatch = BATCH_TOKENS  # a longer batch aborts the process
        parameters.n_seq_max = sequences
        parameters.kv_unified = True  # otherwise the room is divided, and copying a part of a sequence aborts the process
        parameters.n_outputs_max = outputs  # by default one for each token of a batch: five times the working memory
        parameters.n_threads = parameters.n_threads_batch = threads
        parameters.flash_attn_type = _FLASH_ATTENTION
        parameters.abort_callback = abort_function()
        parameters.abort_callback_data = ctypes.cast(self.abort_flag, ctypes.c_void_p)
        parameters.no_perf = True
        return parameters

    def _adapt(self, adapters: Sequence[Adapter]) -> None:
        """Apply the adapters to every answer; their memory belongs to the model. Raises `SetupError`."""
        if not adapters:
            return
        loaded = []
        for adapter in adapters:
            opened = (
                self._lib.llama_adapter_lora_init(self._model, str(adapter.path).encode()) if adapter.path.is_file() else None
            )
            if not opened:
                self._lib.llama_free(self._context)
                self._lib.llama_model_free(self._model)
                raise SetupError(
                    f"The adapter {adapter.path.name} does not fit this language model. {last_error()}".strip(),
                    code="inference.adapter",
                )
            loaded.append(opened)
        pointers = (self._lib.llama_adapter_lora_p_ctypes * len(loaded))(*loaded)
        scales = (ctypes.c_float * len(loaded))(*(adapter.scale for adapter in adapters))
        self._lib.llama_set_adapters_lora(self._context, pointers, len(loaded), scales)

    def close(self) -> None:
        """Free everything; the caller makes sure that nothing is being decoded."""
        with self._reading:
            if self._memory is not None:
                self._memory = None
                self._lib.llama_free(self._context)
                self._lib.llama_model_free(self._model)

    def tokenise(self, text: str, *, special: bool) -> list[int]:
        """Tokens of `text`; only with `special` do sequences such as `<|im_end|>` become control tokens. Any thread may ask."""
        data = text.encode("utf-8", "replace")
        tokens = (self._lib.llama_token * (len(data) + 8))()
        with self._reading:
            if self._memory is None:
                raise Unavailable("The language model has been unloaded.", code="inference.closed")
            count = self._lib.llama_tokenize(self._vocabulary, data, len(data), tokens, len(tokens), False, special)
        if count < 0:
            raise Unavailable("The language model could not read the text.", code="inference.failed")
        return list(tokens[:count])

    def control_token(self, text: str) -> int:
        """The one control token written as `text`. Raises `SetupError` for a model that was not trained on it."""
        tokens = self.tokenise(text, special=True)
        if len(tokens) != 1:
            raise SetupError(f"The language model does not know the chat marker {text}.", code="setup.model_template")
        return tokens[0]

    def template(self) -> str:
        """The chat template in the model's file; empty where it has none."""
        found: bytes | None = self._lib.llama_model_chat_template(self._model, None)
        return (found or b"").decode("utf-8", "replace")

    def sentence_tokens(self) -> tuple[int | None, dict[str, str]]:
        """The token every prompt of this model begins with, where there is one, and what templates call such tokens."""
        begin, end = self._lib.llama_vocab_bos(self._vocabulary), self._lib.llama_vocab_eos(self._vocabulary)
        names = {"bos_token": begin, "eos_token": end}
        texts = {
            name: self._lib.llama_vocab_get_text(self._vocabulary, token).decode("utf-8", "replace") if token >= 0 else ""
            for name, token in names.items()
        }
        return (int(begin) if self._lib.llama_vocab_get_add_bos(self._vocabulary) and begin >= 0 else None), texts

    def ends_turn(self, token: int) -> bool:
        known = self._ends.get(token)
        if known is None:
            known = self._ends[token] = bool(self._lib.llama_vocab_is_eog(self._vocabulary, token))
        return known

    def piece(self, token: int) -> bytes:
        """The bytes of a token, possibly a part of a character; nothing for control tokens."""
        known = self._pieces.get(token)
        if known is None:
            known = self._pieces[token] = self._piece(token)
        return known

    def _piece(self, token: int) -> bytes:
        buffer = ctypes.create_string_buffer(256)
        length = self._lib.llama_token_to_piece(self._vocabulary, token, buffer, len(buffer), 0, False)
        if length < 0:
            buffer = ctypes.create_string_buffer(-length)
            length = self._lib.llama_token_to_piece(self._vocabulary, token, buffer, len(buffer), 0, False)
        return buffer.raw[:length]

    def forget_from(self, position: int, sequence: int = 0) -> None:
        """Drop everything from `position` on out of the memory of one sequence."""
        prompt_library().llama_memory_seq_rm(self._memory, sequence, position, -1)

    def share(self, source: int, target: int, length: int) -> None:
        """Let `target`, which is empty, begin with the first `length` tokens of `source`; nothing is computed or copied."""
        prompt_library().llama_memory_seq_cp(self._memory, source, target, 0, length)

    def decode_batch(self) -> None:
        """Read what lies in `batch`. Raises `DecodeAborted`, or `Unavailable`; both leave the context usable."""
        code = self._lib.llama_decode(self._context, self.batch.native)
        if code == _ABORTED:
            raise DecodeAborted
        if code != 0:
            raise Unavailable(f"The language model stopped working. {last_error()}".strip(), code="inference.failed", status=code)

    def logits(self, rows: int) -> npt.NDArray[np.float32]:
        """The scores of every word after each of the last batch's `rows` outputs, in their order; valid until the next one."""
        if not rows:
            return np.empty((0, self._words), np.float32)
        address = prompt_library().llama_get_logits(self._context)
        kind: Any = ctypes.c_float * (rows * self._words)
        scores: npt.NDArray[np.float32] = np.frombuffer(kind.from_address(address), np.float32)
        return scores.reshape(rows, self._words)

    def decode(self, tokens: Sequence[int], position: int | None = None) -> None:
        """Read up to `BATCH_TOKENS` tokens as the only sequence, at `position` or after what was read before."""
        if position is None:
            position = self._lib.llama_memory_seq_pos_max(self._memory, 0) + 1
        self.batch.clear()
        self.batch.add(0, tokens, position, outputs=1)
        self.decode_batch()

    def sampler(self, sampling: Sampling) -> Sampler:
        return Sampler(self._lib, self._vocabulary, self._context, sampling, self.trained_context_tokens)
