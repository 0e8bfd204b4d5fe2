"""Modelfiles: what Ollama calls the text that makes a model out of weights and settings. Pure; useful to every runtime.

One instruction a line; a value may stand in double quotes, or over several lines in three of them; lines that begin with `#`
are comments. What is not known is refused with its line, never skipped: a setting that is silently ignored is a wrong answer
later.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, cast

from appliance.errors import InvalidInput
from appliance.inference.models import PromptMessage

ParameterValue = int | float | bool | str

_LIMIT = 1_000_000
_QUOTES = '"""'
_STOP = "stop"
_ROLES = ("system", "user", "assistant")


@dataclass(frozen=True, slots=True)
class Modelfile:
    """What a Modelfile says. `source` is the FROM: a name, or the path of weights.

    `parameters` are in the order written; `stop` may stand there several times, everything else once.
    """

    source: str
    parameters: tuple[tuple[str, ParameterValue], ...] = ()
    system: str = ""
    template: str = ""
    adapters: tuple[str, ...] = ()
    licences: tuple[str, ...] = ()
    messages: tuple[PromptMessage, ...] = ()

    def parameter(self, name: str) -> ParameterValue | None:
        """The value of a parameter that stands there once; None where it does not."""
        return next((value for known, value in self.parameters if known == name), None)

    @property
    def stops(self) -> tuple[str, ...]:
        """The texts at which an answer ends."""
        return tuple(str(value) for name, value in self.parameters if name == _STOP)

    @property
    def licence(self) -> str:
        """The first line with words of its first LICENSE: its name, as a rule."""
        lines = self.licences[0].splitlines() if self.licences else []
        return next((line.strip() for line in lines if line.strip()), "")


def parse_modelfile(text: str) -> Modelfile:
    """Raises `InvalidInput` (`modelfile.*`, `data["line"]`) for anything it does not know."""
    if len(text) > _LIMIT:
        raise InvalidInput(f"A Modelfile has at most {_LIMIT:,} characters.", code="modelfile.too_long")
    draft = _Draft()
    for line, name, value in _instructions(text.removeprefix("\ufeff")):
        add = _INSTRUCTIONS.get(name.upper())
        if add is None:
            raise _wrong(line, f"unknown instruction {name[:40]!r}", "modelfile.instruction")
        add(draft, value, line)
    if draft.source is None:
        raise InvalidInput("The Modelfile names no model: it has no FROM.", code="modelfile.no_source", line=0)
    return Modelfile(
        source=draft.source,
        parameters=tuple(draft.parameters),
        system=draft.system or "",
        template=draft.template or "",
        adapters=tuple(draft.adapters),
        licences=tuple(draft.licences),
        messages=tuple(draft.messages),
    )


def render_modelfile(modelfile: Modelfile) -> str:
    """The text that `parse_modelfile` reads back as the same. Raises `InvalidInput` for a value with three quotes inside."""
    lines = [f"FROM {_quoted(modelfile.source)}"]
    lines += [f"ADAPTER {_quoted(path)}" for path in modelfile.adapters]
    lines += [f"PARAMETER {name} {_quoted(_plain(value))}" for name, value in modelfile.parameters]
    lines += [f"TEMPLATE {_quoted(modelfile.template)}"] if modelfile.template else []
    lines += [f"SYSTEM {_quoted(modelfile.system)}"] if modelfile.system else []
    lines += [f"MESSAGE {message.role} {_quoted(message.text)}" for message in modelfile.messages]
    lines += [f"LICENSE {_quoted(text)}" for text in modelfile.licences]
    return "\n".join(lines) + "\n"


class _Draft:
    """A Modelfile while it is read."""

    def __init__(self) -> None:
        self.source: str | None = None
        self.system: str | None = None
        self.template: str | None = None
        self.parameters: list[tuple[str, ParameterValue]] = []
        self.adapters: list[str] = []
        self.licences: list[str] = []
        self.messages: list[PromptMessage] = []

    def add_source(self, value: str, line: int) -> None:
        self.source = _once(self.source, _filled(value, "FROM", line), "FROM", line)

    def add_system(self, value: str, line: int) -> None:
        self.system = _once(self.system, value, "SYSTEM", line)

    def add_template(self, value: str, line: int) -> None:
        self.template = _once(self.template, value, "TEMPLATE", line)

    def add_adapter(self, value: str, line: int) -> None:
        self.adapters.append(_filled(value, "ADAPTER", line))

    def add_licence(self, value: str, line: int) -> None:
        self.licences.append(_filled(value, "LICENSE", line))

    def add_parameter(self, value: str, line: int) -> None:
        name, text = _word(value)
        name = name.lower()
        kind = PARAMETERS.get(name)
        if kind is None:
            raise _wrong(line, f"unknown parameter {name[:40]!r}", "modelfile.parameter")
        if name != _STOP and any(known == name for known, _ in self.parameters):
            raise _wrong(line, f"{name} stands there twice", "modelfile.repeated")
        self.parameters.append((name, _typed(name, kind, _unquoted(text, line), line)))

    def add_message(self, value: str, line: int) -> None:
        role, text = _word(value)
        if role.lower() not in _ROLES:
            raise _wrong(line, f"unknown role {role[:40]!r}", "modelfile.role")
        self.messages.append(PromptMessage(cast('Literal["system", "user", "assistant"]', role.lower()), _unquoted(text, line)))


_INSTRUCTIONS: MappingProxyType[str, Callable[[_Draft, str, int], None]] = MappingProxyType(
    {
        "FROM": lambda draft, value, line: draft.add_source(_unquoted(value, line), line),
        "SYSTEM": lambda draft, value, line: draft.add_system(_unquoted(value, line), line),
        "TEMPLATE": lambda draft, value, line: draft.add_template(_unquoted(value, line), line),
        "ADAPTER": lambda draft, value, line: draft.add_adapter(_unquoted(value, line), line),
        "LICENSE": lambda draft, value, line: draft.add_licence(_unquoted(value, line), line),
        "PARAMETER": _Draft.add_parameter,
        "MESSAGE": _Draft.add_message,
    }
)

PARAMETERS: MappingProxyType[str, type] = MappingProxyType(
    {
        **dict.fromkeys(("num_ctx", "num_predict", "num_keep", "num_batch", "num_gpu", "num_thread", "main_gpu"), int),
        **dict.fromkeys(("seed", "top_k", "repeat_last_n", "mirostat"), int),
        **dict.fromkeys(("temperature", "top_p", "min_p", "typical_p", "repeat_penalty", "presence_penalty"), float),
        **dict.fromkeys(("frequency_penalty", "mirostat_eta", "mirostat_tau"), float),
        "use_mmap": bool,
        _STOP: str,
    }
)
"""The parameters that are known, and what each holds."""


def _instructions(text: str) -> list[tuple[int, str, str]]:
    """Line, name and raw value of each instruction; a value in three quotes may go on over many lines."""
    found, lines, number = [], text.split("\n"), 0
    while number < len(lines):
        first = number + 1
        line = lines[number].strip()
        number += 1
        if not line or line.startswith("#"):
            continue
        name, value = _word(line)
        opened = value.find(_QUOTES) if _opens(name, value) else -1
        if opened >= 0:
            raw = lines[first - 1].lstrip()
            raw = raw[raw.index(_QUOTES) :]
            while not _closed(raw):
                if number == len(lines):
                    raise _wrong(first, "three quotes are opened and never closed", "modelfile.quotes")
                raw += "\n" + lines[number]
                number += 1
            value = value[:opened] + raw.rstrip()
        found.append((first, name, value))
    return found


def _opens(name: str, value: str) -> bool:
    """Whether the value of an instruction begins with three quotes, after the word that two instructions have before it."""
    rest = _word(value)[1] if name.upper() in {"PARAMETER", "MESSAGE"} else value
    return rest.startswith(_QUOTES)


def _closed(raw: str) -> bool:
    return raw.find(_QUOTES, len(_QUOTES)) >= 0


def _unquoted(value: str, line: int) -> str:
    if value.startswith(_QUOTES):
        # quotes that touch the closing three belong to the text
        end = value.find(_QUOTES, len(_QUOTES))
        while value[end + len(_QUOTES) : end + len(_QUOTES) + 1] == '"':
            end += 1
        if end < 0 or value[end + len(_QUOTES) :].strip():
            raise _wrong(line, "there is something after the closing quotes", "modelfile.quotes")
        return value[len(_QUOTES) : end]
    if value.startswith('"'):
        if len(value) == 1 or not value.endswith('"') or '"' in value[1:-1]:
            raise _wrong(line, "a quote is opened and not closed at the end", "modelfile.quotes")
        return value[1:-1]
    return value


def _quoted(value: str) -> str:
    if value and value == value.strip() and value.isprintable() and not value.startswith('"'):
        return value
    if _QUOTES in value:
        raise InvalidInput("A Modelfile cannot hold a text with three quotes inside.", code="modelfile.unwritable")
    return f"{_QUOTES}{value}{_QUOTES}"


def _word(text: str) -> tuple[str, str]:
    """The first word, and what follows it."""
    word, *rest = text.split(None, 1) or [""]
    return word, rest[0] if rest else ""


def _typed(name: str, kind: type, text: str, line: int) -> ParameterValue:
    try:
        if kind is bool:
            return {"true": True, "false": False}[text.lower()]
        value: ParameterValue = kind(text)
    except (KeyError, ValueError):
        raise _wrong(line, f"{name} cannot be {text[:40]!r}", "modelfile.value") from None
    if (isinstance(value, float) and not math.isfinite(value)) or value == "":
        raise _wrong(line, f"{name} cannot be {text[:40]!r}", "modelfile.value")
    return value


def _plain(value: ParameterValue) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _once(known: str | None, value: str, name: str, line: int) -> str:
    if known is not None:
        raise _wrong(line, f"{name} stands there twice", "modelfile.repeated")
    return value


def _filled(value: str, name: str, line: int) -> str:
    if not value:
        raise _wrong(line, f"{name} says nothing", "modelfile.value")
    return value


def _wrong(line: int, what: str, code: str) -> InvalidInput:
    return InvalidInput(f"Line {line} of the Modelfile: {what}.", code=code, line=line)
