"""The parts of a template that was read, each of which writes something."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from appliance.inference.go_template.expressions import Expression, Scope, shown, wrong


class Piece:
    """A part of a template that writes something."""

    def write(self, dot: Any, scope: Scope) -> Iterator[str]:
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Text(Piece):
    text: str

    def write(self, _dot: Any, _scope: Scope) -> Iterator[str]:
        yield self.text


@dataclass(frozen=True, slots=True)
class Shown(Piece):
    value: Expression

    def write(self, dot: Any, scope: Scope) -> Iterator[str]:
        yield shown(self.value(dot, scope))


@dataclass(frozen=True, slots=True)
class Set(Piece):
    """`declares` makes the variable new in this block; otherwise the nearest one of that name changes."""

    name: str
    value: Expression
    declares: bool

    def write(self, dot: Any, scope: Scope) -> Iterator[str]:
        found = self.value(dot, scope)
        if self.declares:
            scope[self.name] = [found]
        else:
            scope[self.name][0] = found
        yield from ()


@dataclass(frozen=True, slots=True)
class If(Piece):
    condition: Expression
    then: tuple[Piece, ...]
    otherwise: tuple[Piece, ...]
    with_value: bool = False  # `with`: the value becomes the dot

    def write(self, dot: Any, scope: Scope) -> Iterator[str]:
        value = self.condition(dot, scope)
        if value:
            yield from written(self.then, value if self.with_value else dot, scope)
        else:
            yield from written(self.otherwise, dot, scope)


@dataclass(frozen=True, slots=True)
class Range(Piece):
    values: Expression
    names: tuple[str, ...]  # none, the value's, or the index's and the value's
    body: tuple[Piece, ...]
    otherwise: tuple[Piece, ...]

    def write(self, dot: Any, scope: Scope) -> Iterator[str]:
        values = self.values(dot, scope) or ()
        if not isinstance(values, Sequence) or isinstance(values, str):
            raise wrong("range goes over what is no list")
        for number, value in enumerate(values):
            inner = scope | {name: [each] for name, each in zip(self.names, self._named(number, value), strict=True)}
            yield from written(self.body, value, inner)
        if not values:
            yield from written(self.otherwise, dot, scope)

    def _named(self, number: int, value: Any) -> tuple[Any, ...]:
        return (number, value)[2 - len(self.names) :] if self.names else ()


def written(pieces: tuple[Piece, ...], dot: Any, scope: Scope) -> Iterator[str]:
    inner = dict(scope)  # what is declared inside ends with the block; what is changed stays changed
    for piece in pieces:
        yield from piece.write(dot, inner)
