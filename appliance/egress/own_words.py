"""What an inference server may be asked although no classification lets anything go there: which models it has, and how long its
prompts come out with nothing in them.

The gate holds the body against this, as it was sent: one letter in place of every text, the name of a model that the server has
listed itself, and numbers. So nothing of a person or a document fits in, whatever a caller says about it.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from appliance.egress.calls import LETTER

LIMIT_BYTES = 2_000
"""Of a body."""

LISTINGS = frozenset({"/api/tags", "/v1/models"})
"""Paths at which servers say which models they have."""

_NAMES_LIMIT = 10_000
_LARGEST_CONTEXT = 2**24
_ABOUT_MODEL = "/api/show"
_PROMPTS = frozenset({"/api/chat", "/v1/chat/completions"})
_WORDS = frozenset({LETTER, "system", "user", "assistant", "30m"})
_NUMBERS = (0, 1)
_CONTEXT = "num_ctx"
_KEYS = frozenset(
    {"messages", "role", "content", "stream", "max_tokens", "temperature", "seed", "chat_template_kwargs", "enable_thinking",
     "keep_alive", "truncate", "shift", "think", "options", _CONTEXT, "num_predict"}
)  # fmt: skip
_MOST_MESSAGES = 4


def are_own_words(path: str, body: bytes, models: Collection[str]) -> bool:
    """Whether the body says nothing. `models` are the names that the server listed (`listed_names`)."""
    if len(body) > LIMIT_BYTES:
        return False
    try:
        said = json.loads(body)
        plain = json.dumps(said).encode() == body  # no spaces, doubled keys and other spellings, which could carry something
    except (ValueError, RecursionError):
        return False
    if not plain or not isinstance(said, dict) or _latest(said.pop("model", None)) not in models:
        return False
    return path == _ABOUT_MODEL if not said else path in _PROMPTS and _says_nothing(said)


def listed_names(answer: bytes) -> frozenset[str]:
    """The models in a server's own list; none where it is no such list."""
    try:
        said = json.loads(answer)
        rows = said.get("models") or said.get("data") or []
        found = [row.get("model") or row.get("name") or row.get("id") for row in rows[:_NAMES_LIMIT]]
    except (ValueError, RecursionError, AttributeError, TypeError):
        return frozenset()
    return frozenset(_latest(name) for name in found if isinstance(name, str))


def _latest(name: Any) -> str:
    """Without a tag it is the latest, to an Ollama."""
    return str(name).removesuffix(":latest")


def _says_nothing(said: Any) -> bool:
    match said:
        case dict():
            context = said.get(_CONTEXT, 0)
            rest = [value for key, value in said.items() if key != _CONTEXT]
            return (
                said.keys() <= _KEYS
                and type(context) is int
                and 0 <= context < _LARGEST_CONTEXT
                and all(map(_says_nothing, rest))
            )
        case list():
            return len(said) <= _MOST_MESSAGES and all(map(_says_nothing, said))
        case str():
            return said in _WORDS
        case int() | float():
            return said in _NUMBERS
        case _:
            return False
