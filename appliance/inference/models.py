"""The vocabulary of inference: what is asked of a runtime and what comes back."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal


class FinishReason(StrEnum):
    """Why a completion ended."""

    STOP = "stop"  # the model ended its turn
    LENGTH = "length"  # the token limit of the answer
    CANCELLED = "cancelled"  # a person pressed stop
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class PromptMessage:
    """One turn of the prompt."""

    role: Literal["system", "user", "assistant"]
    text: str


@dataclass(frozen=True, slots=True)
class SamplingRules:
    """How the next token is chosen beside the temperature; None is no such rule. The names are those of a Modelfile.

    Rules of `top_k` to `typical_p` need a temperature. A runtime that does not know a rule leaves it out; what the models of a
    format may ask for is decided when they are imported (store/modelfiles.py).
    """

    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    typical_p: float | None = None
    repeat_penalty: float | None = None
    repeat_last_n: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None

    def given(self) -> dict[str, int | float]:
        """The rules there are, by name."""
        return {name: value for name in self.__dataclass_fields__ if (value := getattr(self, name)) is not None}


NO_RULES = SamplingRules()


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """A prompt and its limits. `cancelled` may be set from another thread; the runtime then stops within one step.

    `person` (a principal's id) is whom fair shares are counted by; `conversation` (an id) is what a runtime may keep its memory
    of a prompt by. At most one of `grammar` (GBNF) and `json_schema` (a JSON document) constrains the answer; a runtime that
    cannot constrain refuses with `InvalidInput` (`inference.unsupported`). After `deadline_s` seconds it ends as `CANCELLED`.

    With a temperature of 0 the likeliest token is chosen, unless the Modelfile of the version says otherwise; `repeatable` is
    whether a sampled answer shall be the same whenever nothing runs beside it, which costs what was read before.
    """

    messages: tuple[PromptMessage, ...]
    max_tokens: int
    temperature: float = 0.0
    seed: int = 0
    sampling: SamplingRules = NO_RULES
    repeatable: bool = True
    cancelled: threading.Event = field(default_factory=threading.Event)
    person: str = ""
    conversation: str = ""
    grammar: str = ""
    json_schema: str = ""
    deadline_s: float | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one completion; `cached_tokens` of the prompt were still in the runtime's memory and cost nothing."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cached_tokens + other.cached_tokens,
        )


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of a streamed answer. The last one has a `finish_reason` and the `usage`."""

    text: str
    finish_reason: FinishReason | None = None
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """An installed model as people see it."""

    id: str
    kind: Literal["language", "embedding"]
    file: str
    sha256: str
    size_bytes: int
    format: str  # "GGUF Q4_0", "ONNX int8"
    context_tokens: int
    licence: str
    active: bool
    measured: dict[str, float] = field(default_factory=dict)
    source: str = ""


@dataclass(frozen=True, slots=True)
class Health:
    """How a runtime is; `detail` is a sentence for people.

    `device` is what it truly computes on: "cpu", "cuda:0", "cpu+cuda:0" where it is divided, "gpu" where only that is told, empty
    where nothing is.
    """

    ready: bool
    detail: str = ""
    device: str = "cpu"
    running: int = 0
    waiting: int = 0
