"""What stands inside the brackets of an action: values, variables, fields, functions, pipelines."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from appliance.errors import InvalidInput

Scope = dict[str, list[Any]]
"""Variables by name, each in a cell of its own, so that an inner block can change what an outer one declared."""

Expression = Callable[[Any, Scope], Any]

DEPTH = 40
_TOKEN = re.compile(
    r"\s*(?:(?P<text>\"(?:[^\"\\\n]|\\.)*\"|`[^`]*`)|(?P<number>-?\d+)|(?P<variable>\$\w*)|(?P<field>\.\w*)"
    r"|(?P<name>[A-Za-z_]\w*)|(?P<sign>:=|[=|(),]))"
)
_WORDS = {"true": True, "false": False, "nil": None}


class Line:
    """One action, token by token."""

    def __init__(self, text: str, known: set[str], fields: set[str]) -> None:
        self._tokens = _tokens(text)
        self._place = 0
        self._known, self._fields = known, fields
        self.sign = ""

    def assigned(self) -> str | None:
        """The variable that the action sets; None where it sets none."""
        if self._kind() == "variable" and self._text(1) in {":=", "="}:
            name, self.sign = self._text(), self._text(1)
            self._place += 2
            return name
        return None

    def ranged(self) -> tuple[str, ...]:
        if self._kind() == "variable" and self._text(1) == "," and self._kind(2) == "variable" and self._text(3) == ":=":
            names = (self._text(), self._text(2))
            self._place += 4
            return names
        name = self.assigned()
        return () if name is None else (name,)

    def whole(self) -> Expression:
        """The rest of the action as one pipeline."""
        value = self._pipeline(0)
        if self._place < len(self._tokens):
            raise wrong(f"{self._text()!r} stands where nothing is expected")
        return value

    def _pipeline(self, depth: int) -> Expression:
        if depth > DEPTH:
            raise wrong("its brackets are nested too deeply")
        value = self._command(None, depth)
        while self._text() == "|":
            self._place += 1
            value = self._command(value, depth)
        return value

    def _command(self, piped: Expression | None, depth: int) -> Expression:
        if self._kind() != "name" or self._text() in _WORDS:
            if piped is not None:
                raise wrong("a value cannot be piped into a value")
            return self._operand(depth)
        name = self._text()
        act = _FUNCTIONS.get(name)
        if act is None:
            raise wrong(f"{name} is not known")
        self._place += 1
        given = []
        while self._place < len(self._tokens) and self._text() not in {"|", ")"}:
            given.append(self._operand(depth))
        operands = [*given, piped] if piped is not None else given
        return lambda dot, scope: act(*(each(dot, scope) for each in operands))

    def _operand(self, depth: int) -> Expression:
        kind, text = self._kind(), self._text()
        self._place += 1
        if kind in {"text", "number"} or text in _WORDS:
            literal = _literal(kind, text)
            return lambda _dot, _scope: literal
        match kind:
            case "variable" if text in self._known:
                return self._fielded(lambda _dot, scope: scope[text][0])
            case "variable":
                raise wrong(f"{text} was never declared")
            case "field":
                self._place -= 1
                if text == ".":
                    self._place += 1
                    return lambda dot, _scope: dot
                return self._fielded(lambda dot, _scope: dot, begun=False)
            case "sign" if text == "(":
                inner = self._pipeline(depth + 1)
                if self._text() != ")":
                    raise wrong("a bracket is not closed")
                self._place += 1
                return self._fielded(inner)
        raise wrong(f"{text!r} is no value" if text else "a value is missing")

    def _fielded(self, value: Expression, *, begun: bool = True) -> Expression:
        """`value` with the fields that touch it; where nothing has `begun` the first of them stands here already."""
        names: list[str] = []
        while self._kind() == "field" and len(self._text()) > 1 and (self._touches() if begun or names else True):
            names.append(self._text()[1:])
            self._place += 1
        self._fields.update(names)
        return (lambda dot, scope: reached(value(dot, scope), names)) if names else value

    def _touches(self) -> bool:
        """Whether the token here follows the one before it without a space."""
        return self._place < len(self._tokens) and not self._tokens[self._place][2]

    def _kind(self, ahead: int = 0) -> str:
        return self._tokens[self._place + ahead][0] if self._place + ahead < len(self._tokens) else ""

    def _text(self, ahead: int = 0) -> str:
        return self._tokens[self._place + ahead][1] if self._place + ahead < len(self._tokens) else ""


def shown(value: Any) -> str:
    """As Go prints it."""
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def _tokens(text: str) -> list[tuple[str, str, bool]]:
    """Kind, text, and whether a space stands before it."""
    found, place = [], 0
    text = text.rstrip()
    while place < len(text):
        token = _TOKEN.match(text, place)
        if token is None or token.lastgroup is None:
            raise wrong(f"{text[place : place + 20]!r} cannot be read")
        kind = token.lastgroup
        found.append((kind, token[kind], token.start(kind) > place))
        place = token.end()
    return found


def _literal(kind: str, text: str) -> Any:
    if kind == "number":
        return int(text)
    if text in _WORDS:
        return _WORDS[text]
    try:
        return text[1:-1] if text[0] == "`" else json.loads(text)
    except json.JSONDecodeError:
        raise wrong(f"the text {text[:20]} cannot be read") from None


def reached(value: Any, names: Sequence[str]) -> Any:
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _and(*values: Any) -> Any:
    return next((value for value in values if not value), values[-1])


def _or(*values: Any) -> Any:
    return next((value for value in values if value), values[-1])


_FUNCTIONS: MappingProxyType[str, Callable[..., Any]] = MappingProxyType(
    {
        "eq": lambda first, *others: any(first == other for other in others),
        "ne": lambda one, other: one != other,
        "lt": lambda one, other: one < other,
        "le": lambda one, other: one <= other,
        "gt": lambda one, other: one > other,
        "ge": lambda one, other: one >= other,
        "and": _and,
        "or": _or,
        "not": lambda value: not value,
        "len": lambda value: len(value or ()),
        "slice": lambda value, start=0, end=None: value[start:end],
        "index": lambda value, place: value[place],
        "print": lambda *values: "".join(shown(value) for value in values),
        "json": lambda value: json.dumps(value, ensure_ascii=False),
    }
)


def wrong(what: str) -> InvalidInput:
    return InvalidInput(f"The TEMPLATE of the Modelfile cannot be used: {what}.", code="modelfile.template")
