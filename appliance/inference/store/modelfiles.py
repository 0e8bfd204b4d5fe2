"""What of a Modelfile is kept with a version: checked at the import, so that nothing in it is silently left out later."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from appliance.errors import InvalidInput
from appliance.inference.conversation_template import ConversationTemplate
from appliance.inference.modelfile import Modelfile, ParameterValue, parse_modelfile, render_modelfile
from appliance.inference.models import PromptMessage
from appliance.inference.store.gguf import read_gguf
from appliance.inference.store.versions import Facts, Format, StoredFile
from appliance.storage.digests import digest_of

_LEAST_CONTEXT = 512
_LONGEST_WORDS = 4_000
"""Characters of SYSTEM and MESSAGE together: what they take is missing for passages."""
_MOST_STOPS, _LONGEST_STOP = 16, 100

_EVERYWHERE = frozenset({"temperature", "seed", "num_ctx", "num_predict", "stop"})
_RULES = frozenset(
    {"top_k", "top_p", "min_p", "typical_p", "repeat_penalty", "repeat_last_n", "presence_penalty", "frequency_penalty"}
)
_TAKEN: Mapping[Format, frozenset[str]] = {"gguf": _EVERYWHERE | _RULES, "served": _EVERYWHERE | _RULES, "genai": _EVERYWHERE}
"""The parameters that the runtimes of a format follow."""

_Check = Callable[[Any], bool]
_RANGES: MappingProxyType[str, tuple[_Check, str]] = MappingProxyType(
    {
        "temperature": (lambda value: 0 <= value <= 2, "0 to 2"),
        "seed": (lambda value: 0 <= value < 2**32, "0 to 4294967295"),
        "num_predict": (lambda value: value == -1 or value > 0, "-1 or above 0"),
        "top_k": (lambda value: 0 <= value <= 1_000, "0 to 1000"),
        "top_p": (lambda value: 0 < value <= 1, "above 0, at most 1"),
        "min_p": (lambda value: 0 <= value < 1, "0 or above, below 1"),
        "typical_p": (lambda value: 0 < value <= 1, "above 0, at most 1"),
        "repeat_penalty": (lambda value: 0.5 <= value <= 2, "0.5 to 2"),
        "repeat_last_n": (lambda value: 0 <= value <= 4_096, "0 to 4096"),
        "presence_penalty": (lambda value: -2 <= value <= 2, "-2 to 2"),
        "frequency_penalty": (lambda value: -2 <= value <= 2, "-2 to 2"),
        "stop": (lambda value: len(value) <= _LONGEST_STOP, f"at most {_LONGEST_STOP} characters"),
    }
)


def read_modelfile(path: Path) -> Modelfile:
    """Raises `InvalidInput` (`modelfile.missing`, `modelfile.text`, and what `parse_modelfile` raises)."""
    if not path.is_file():
        raise InvalidInput(f"There is no file {path}.", code="modelfile.missing")
    try:
        return parse_modelfile(path.read_text("utf-8"))
    except UnicodeDecodeError as error:
        raise InvalidInput("The Modelfile is no text.", code="modelfile.text") from error


def check_usable(modelfile: Modelfile, facts: Facts) -> None:
    """Raises `InvalidInput` (`modelfile.*`, one code per reason) for anything that would not be in force with this model."""
    if facts.kind != "language":
        raise InvalidInput("A Modelfile belongs to a language model.", code="modelfile.kind")
    for name, value in modelfile.parameters:
        _check_parameter(name, value, facts)
    if len(modelfile.stops) > _MOST_STOPS:
        raise InvalidInput(f"A Modelfile has at most {_MOST_STOPS} stops.", code="modelfile.value")
    _check_words(modelfile)
    if modelfile.template:
        if facts.format != "gguf":
            raise InvalidInput(
                "TEMPLATE belongs to a GGUF model; others bring the template that they are used with.", code="modelfile.template"
            )
        ConversationTemplate(modelfile.template)


def prompt_of(modelfile: Modelfile, adapters: Sequence[StoredFile] = ()) -> Mapping[str, Any]:
    """As a version holds it: the text, which is parsed again where it is used, and the digests of the adapters."""
    described = [{"sha256": adapter.sha256, "size_bytes": adapter.size_bytes, "scale": 1.0} for adapter in adapters]
    return {"modelfile": render_modelfile(replace(modelfile, source=".", adapters=())), "adapters": described}


def modelfile_of(prompt: Mapping[str, Any]) -> Modelfile | None:
    """What `prompt_of` stored; None where a version has no Modelfile."""
    text = prompt.get("modelfile")
    return parse_modelfile(text) if text else None


def with_context(facts: Facts, modelfile: Modelfile) -> Facts:
    """With the context that `num_ctx` asks for, where it stands there."""
    value = modelfile.parameter("num_ctx")
    return replace(facts, context_tokens=value) if isinstance(value, int) else facts


def adapters_of(modelfile: Modelfile, beside: Path, facts: Facts, directory: Path, *, encrypt: bool) -> list[StoredFile]:
    """Copies of the adapters a Modelfile names, beside it or by their full path. Raises `InvalidInput` (`model.adapter`)."""
    copies = []
    for number, name in enumerate(modelfile.adapters):
        source = beside / name
        if not source.is_file():
            raise InvalidInput(f"There is no adapter {name} beside the Modelfile.", code="model.adapter")
        if encrypt or facts.format != "gguf":
            raise InvalidInput("Adapters belong to GGUF models that are not encrypted.", code="model.adapter")
        copy = Path(shutil.copyfile(source, directory / f"adapter-{number}"))
        header = read_gguf(copy)
        if header.metadata.get("general.type") != "adapter" or header.architecture != facts.architecture:
            raise InvalidInput(
                f"{name} is no adapter for a model of the architecture {facts.architecture}.", code="model.adapter"
            )
        copies.append(StoredFile(copy.name, digest_of(copy), copy.stat().st_size))
    return copies


def _check_parameter(name: str, value: ParameterValue, facts: Facts) -> None:
    if name not in _TAKEN.get(facts.format, _EVERYWHERE):
        whose = "the box decides it" if name not in _RULES else f"models of the format {facts.format} do not know it"
        raise InvalidInput(f"The parameter {name} would have no effect: {whose}. Remove it.", code="modelfile.parameter")
    if name == "num_ctx":
        if not isinstance(value, int) or not _LEAST_CONTEXT <= value <= facts.context_tokens:
            raise InvalidInput(
                f"num_ctx is {value}, but this model takes {_LEAST_CONTEXT} to {facts.context_tokens} tokens.",
                code="modelfile.context",
            )
        return
    fits, range_words = _RANGES[name]
    if not fits(value):
        raise InvalidInput(f"{name} is {value}; it can be {range_words}.", code="modelfile.value")


def _check_words(modelfile: Modelfile) -> None:
    words = [modelfile.system, *(message.text for message in modelfile.messages)]
    if sum(map(len, words)) > _LONGEST_WORDS:
        raise InvalidInput(
            f"SYSTEM and MESSAGE have more than {_LONGEST_WORDS:,} characters; passages of documents need that room.",
            code="modelfile.too_long",
        )
    if any(not (character.isprintable() or character in "\n\t") for character in "".join(words)):
        raise InvalidInput("SYSTEM and MESSAGE hold characters that cannot be seen.", code="modelfile.text")
    spoken = [message for message in modelfile.messages if message.role != "system"]
    if not _takes_turns(spoken):
        raise InvalidInput(
            "The MESSAGEs of a Modelfile are examples: a user's and an assistant's in turn.", code="modelfile.messages"
        )


def _takes_turns(messages: Sequence[PromptMessage]) -> bool:
    roles = [message.role for message in messages]
    return roles == ["user", "assistant"] * (len(roles) // 2)
