"""Stand-ins for the models, for tests of the parts around them. They say so when they are built."""

from __future__ import annotations

import hashlib
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from appliance.egress.seal.layers import Strength
from appliance.errors import InvalidInput
from appliance.identity.models import Role
from appliance.inference.devices import DeviceKind
from appliance.inference.hardware.models import Hardware
from appliance.inference.models import CompletionRequest, Delta, FinishReason, Health, Model, PromptMessage, Usage
from appliance.inference.pool import RuntimePool
from appliance.inference.routing import Router
from appliance.inference.runtime import Runtime
from appliance.inference.selection.models import Offer
from appliance.inference.selection.policy import RoutingPolicy, Rule

Script = Sequence[str] | Callable[[CompletionRequest], Sequence[str]]

_MICRO_BYTES = 600_000_000


class InsecureStubWarning(UserWarning):
    """Given when a stand-in is built: its answers and vectors mean nothing."""


class StubRuntime:
    """A runtime that plays back deltas. A token is a word; `gate`, where given, must be set before each delta is released."""

    def __init__(self, script: Script, *, context_tokens: int = 4096, gate: threading.Event | None = None) -> None:
        warnings.warn("StubRuntime answers from a script.", InsecureStubWarning, stacklevel=2)
        self._script = script
        self._context_tokens = context_tokens
        self._gate = gate
        self.requests: list[CompletionRequest] = []
        """Every request that was answered, oldest first."""

    @property
    def model(self) -> Model:
        return Model("stub", "language", "", "", 0, "script", self._context_tokens, "Apache-2.0", active=True)

    @property
    def context_tokens(self) -> int:
        return self._context_tokens

    def count_tokens(self, messages: Sequence[PromptMessage]) -> int:
        return sum(len(message.text.split()) for message in messages)

    def complete(self, request: CompletionRequest) -> Iterator[Delta]:
        if self.count_tokens(request.messages) + request.max_tokens > self._context_tokens:
            raise InvalidInput("The prompt does not fit.", code="inference.context_overflow")
        self.requests.append(request)
        return self._play(request)

    def health(self) -> Health:
        return Health(ready=True, detail="Answers from a script.")

    def close(self) -> None:
        """Nothing to give back."""

    def _play(self, request: CompletionRequest) -> Iterator[Delta]:
        finish, written = FinishReason.STOP, 0
        for text in self._script(request) if callable(self._script) else self._script:
            while self._gate is not None and not self._gate.wait(0.02) and not request.cancelled.is_set():
                pass
            if request.cancelled.is_set():
                finish = FinishReason.CANCELLED
                break
            written += 1
            yield Delta(text)
        yield Delta("", finish, Usage(self.count_tokens(request.messages), written, 0))


def stub_router(runtime: Runtime) -> Router:
    """A router on a box that offers nothing but this runtime, to everybody and for everything.

    Its model is of the micro class while it says that its file is smaller than 600 MB.
    """
    warnings.warn("stub_router allows its one runtime everything.", InsecureStubWarning, stacklevel=2)
    classifications = ("public", "internal", "confidential", "secret")
    rule = Rule(runtimes=("stub",), models=("*",), destinations=(), seal=Strength.NONE, canary=False)
    policy = RoutingPolicy(
        classifications=classifications,
        choosers=frozenset({Role.ADMINISTRATOR}),
        memory_headroom_mb=0,
        device_headroom_mb=0,
        devices=(DeviceKind.CPU,),
        order=("model", "runtime", "size", "device"),
        rules=dict.fromkeys(classifications, rule),
    )

    def offers() -> list[Offer]:
        size_class = "micro" if 0 < runtime.model.size_bytes < _MICRO_BYTES else "small"
        return [Offer("stub", "stub@1", "stub", size_class=size_class, memory_mb=1, context_tokens=runtime.context_tokens)]

    return Router(
        hardware=lambda: Hardware(memory_total_mb=2, memory_available_mb=2),
        offers=offers,
        policy=policy,
        seal=lambda: Strength.NONE,
        pool=RuntimePool(lambda *_: runtime),
    )


class StubEmbedder:
    """Words hashed into a vector: texts that share words are near each other, nothing more."""

    dimensions = 384
    max_tokens = 254

    def __init__(self) -> None:
        warnings.warn("StubEmbedder knows words, not meanings.", InsecureStubWarning, stacklevel=2)

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    def token_spans(self, text: str) -> list[tuple[int, int]]:
        spans, end = [], 0
        for word in text.split():
            start = text.index(word, end)
            end = start + len(word)
            spans.append((start, end))
        return spans

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        vectors = np.full((len(texts), self.dimensions), 1e-6, np.float32)
        for row, text in enumerate(texts):
            for word in text.lower().split():
                place = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=4).digest()) % self.dimensions
                vectors[row, place] += 1
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors
