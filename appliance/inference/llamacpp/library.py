"""llama.cpp itself: loaded once, silent, and through two doors."""

from __future__ import annotations

import ctypes
import functools
from typing import Any

from appliance.inference.hardware.graphics import CARDS_IN_ORDER
from appliance.settings import set_environment

_ERROR_LEVEL = 4
# Threads that wait for each other spin about 40 us, then sleep. With the default they spin for milliseconds: on a box whose cores
# are also parsing documents, an answer then comes at a fraction of the speed.
# What the library gives up on ends the process at once: its own report starts a debugger, and may hang for good.
_SET = {"GOMP_SPINCOUNT": "1000", "GGML_NO_BACKTRACE": "1"}
_last_error: list[str] = []
_kept_callbacks: list[Any] = []


@functools.cache
def library() -> Any:
    """llama.cpp, loaded once and silent: what it logs as an error is kept for the sentence we raise."""
    set_environment({**_SET, **CARDS_IN_ORDER})
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
def prompt_library() -> Any:
    """The same library for calls of microseconds, made without giving up the interpreter's lock.

    Whoever gives it up may get it back only after another thread's whole turn, which is longer than a step of the model.
    """
    pointer, number = ctypes.c_void_p, ctypes.c_int32
    opened = ctypes.PyDLL(library().llama_cpp._lib._name)  # noqa: SLF001 - the path is known nowhere else
    for name, arguments, result in (
        ("llama_get_logits", [pointer], pointer),
        ("llama_memory_seq_rm", [pointer, number, number, number], ctypes.c_bool),
        ("llama_memory_seq_cp", [pointer, number, number, number, number], None),
        ("llama_sampler_accept", [pointer, number], None),
        ("llama_sampler_apply", [pointer, pointer], None),
    ):
        function = getattr(opened, name)
        function.argtypes, function.restype = arguments, result
    return opened


@functools.cache
def abort_function() -> Any:
    """The C library's `strlen` as the abort callback: true as soon as the flag it is given is not empty.

    llama.cpp asks after every operation, hundreds of times a token; a function of ours would need the interpreter's lock each
    time and wait for whichever thread holds it.
    """
    strlen = ctypes.CDLL(None).strlen
    return ctypes.cast(strlen, library().ggml_abort_callback)


def last_error() -> str:
    """What the library complained about last; empty where it did not."""
    return _last_error[0] if _last_error else ""
