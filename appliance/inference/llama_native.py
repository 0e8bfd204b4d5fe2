"""A thin, typed layer over llama.cpp's C interface: load, count, decode, sample. One sequence, no policy.

The C interface rather than the library's high-level object: that one parses special tokens inside message text, cuts prompts
that are too long, and cannot stop in the middle of a prompt.
"""

from __future__ import annotations

import ctypes
import functools
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.errors import SetupError, Unavailable
from appliance.settings import set_environment

BATCH_TOKENS = 512
_ERROR_LEVEL = 4
_ABORTED = 2
_FLASH_ATTENTION = 1
# Threads that wait for each other spin about 40 us, then sleep. With the default they spin for milliseconds: on a box whose cores
# are also parsing documents, an answer then comes at a fraction of the speed.
_WAITING = {"GOMP_SPINCOUNT": "1000"}
_last_error: list[str] = []
_kept_callbacks: list[Any] = []


class DecodeAborted(Exception):
    """Raised when the abort flag was set while tokens were read."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen. Penalties look at the answer alone, so quoting the prompt costs nothing."""

    temperature: float
    seed: int
    repeat_penalty: float = 1.0
    repeat_window: int = 64
    dry_multiplier: float = 0.8
    dry_allowed_length: int = 8


@functools.cache
def library() -> Any:
    """llama.cpp, loaded once and silent: what it logs as an error is kept for the sentence we raise."""
    set_environment(_WAITING)
    import llama_cpp

    def keep(level: int, text: bytes, _: Any) -> None:
        if level == _ERROR_LEVEL:
            _last_error[:] = [text.decode("utf-8", "replace").strip()]

    callback = llama_cpp.llama_log_callback(keep)
    _kept_callbacks.append(callback)  # the library holds no reference of its own
    llama_cpp.llama_log_set(callback, ctypes.c_void_p(0))
    llama_cpp.llama_backend_init()
    return llama_cpp


@functools.cache
def _abort_function() -> Any:
    """The C library's `strlen` as the abort callback: true as soon as the flag it is given is not empty.

    llama.cpp asks after every operation, hundreds of times a token; a function of ours would need the interpreter's lock each
    time and wait for whichever thread holds it.
    """
    strlen = ctypes.CDLL(None).strlen
    return ctypes.cast(strlen, library().ggml_abort_callback)


class NativeModel:
    """Weights and vocabulary of one GGUF file, and one context to decode in."""

    def __init__(self, path: Path, *, context_tokens: int, threads: int) -> None:
        lib = self._lib = library()
        self._memory = None
        self._reading = threading.Lock()  # the vocabulary is used beside a running answer, and must outlive each use
        parameters = lib.llama_model_default_params()
        parameters.n_gpu_layers = 0
        # read, not mapped: the kernels repack most weights, and a mapped file would stay in memory beside the copy
        parameters.load_mode = lib.LLAMA_LOAD_MODE_NONE
        self._model = lib.llama_model_load_from_file(str(path).encode(), parameters)
        if not self._model:
            raise Unavailable(f"The language model {path.name} could not be loaded. {_reason()}", code="inference.load_failed")
        self.trained_context_tokens: int = lib.llama_model_n_ctx_train(self._model)
        self._vocabulary = lib.llama_model_get_vocab(self._model)
        self.abort_flag = ctypes.create_string_buffer(2)
        self._context = lib.llama_init_from_model(self._model, self._context_parameters(context_tokens, threads))
        if not self._context:
            lib.llama_model_free(self._model)
            raise Unavailable(
                f"There is not enough memory for a context of {context_tokens} tokens. {_reason()}", code="inference.load_failed"
            )
        self._memory = lib.llama_get_memory(self._context)

    def _context_parameters(self, context_tokens: int, threads: int) -> Any:
        lib = self._lib
        parameters = lib.llama_context_default_params()
        parameters.n_ctx = context_tokens
        parameters.n_batch = parameters.n_ubatch = BATCH_TOKENS
        parameters.n_outputs_max = 1  # logits of the last token only: a fifth of the working memory otherwise
        parameters.n_threads = parameters.n_threads_batch = threads
        parameters.flash_attn_type = _FLASH_ATTENTION
        parameters.abort_callback = _abort_function()
        parameters.abort_callback_data = ctypes.cast(self.abort_flag, ctypes.c_void_p)
        parameters.no_perf = True
        return parameters

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

    def ends_turn(self, token: int) -> bool:
        return bool(self._lib.llama_vocab_is_eog(self._vocabulary, token))

    def piece(self, token: int) -> bytes:
        """The bytes of a token, possibly a part of a character; nothing for control tokens."""
        buffer = ctypes.create_string_buffer(256)
        length = self._lib.llama_token_to_piece(self._vocabulary, token, buffer, len(buffer), 0, False)
        if length < 0:
            buffer = ctypes.create_string_buffer(-length)
            length = self._lib.llama_token_to_piece(self._vocabulary, token, buffer, len(buffer), 0, False)
        return buffer.raw[:length]

    def forget_from(self, position: int) -> None:
        """Drop everything from `position` on out of the context's memory."""
        self._lib.llama_memory_seq_rm(self._memory, 0, position, -1)

    def decode(self, tokens: Sequence[int]) -> None:
        """Read up to `BATCH_TOKENS` tokens. Raises `DecodeAborted`, or `Unavailable`; both leave the context usable."""
        array = (self._lib.llama_token * len(tokens))(*tokens)
        code = self._lib.llama_decode(self._context, self._lib.llama_batch_get_one(array, len(tokens)))
        if code == _ABORTED:
            raise DecodeAborted
        if code != 0:
            raise Unavailable(f"The language model stopped working. {_reason()}", code="inference.failed", status=code)

    def sampler(self, sampling: Sampling) -> Sampler:
        return Sampler(self._lib, self._vocabulary, self._context, sampling, self.trained_context_tokens)


class Sampler:
    """Chooses tokens for one answer and remembers them; `close` frees it."""

    def __init__(self, lib: Any, vocabulary: Any, context: Any, sampling: Sampling, context_tokens: int) -> None:
        self._lib, self._context = lib, context
        self._chain = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
        if sampling.repeat_penalty != 1.0:
            size = lib.llama_vocab_n_tokens(vocabulary)
            self._add(lib.llama_sampler_init_penalties(size, sampling.repeat_window, sampling.repeat_penalty, 0.0, 0.0))
        if sampling.dry_multiplier:
            breakers = (ctypes.c_char_p * 1)(b"\n")
            length = sampling.dry_allowed_length
            self._add(lib.llama_sampler_init_dry(vocabulary, sampling.dry_multiplier, 1.75, length, context_tokens, breakers, 1))
        if sampling.temperature > 0:
            self._add(lib.llama_sampler_init_temp(sampling.temperature))
            self._add(lib.llama_sampler_init_dist(sampling.seed))
        else:
            self._add(lib.llama_sampler_init_greedy())

    def _add(self, step: Any) -> None:
        self._lib.llama_sampler_chain_add(self._chain, step)

    def next_token(self) -> int:
        return int(self._lib.llama_sampler_sample(self._chain, self._context, -1))

    def close(self) -> None:
        self._lib.llama_sampler_free(self._chain)


def _reason() -> str:
    return _last_error[0] if _last_error else ""
