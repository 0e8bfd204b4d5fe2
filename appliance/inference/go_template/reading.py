"""From the text of a template to its parts."""

from __future__ import annotations

import re

from appliance.inference.go_template.expressions import DEPTH, Line, wrong
from appliance.inference.go_template.pieces import If, Piece, Range, Set, Shown, Text

_ACTION = re.compile(r"(?P<before>.*?)\{\{(?P<left>-(?=\s))?(?P<inside>.*?)(?P<right>(?<=\s)-)?\}\}", re.DOTALL)


class Reader:
    """Reads a template from front to back."""

    def __init__(self, text: str) -> None:
        self._parts = split(text)
        self._place = 0
        self.fields: set[str] = set()
        self._ended = ""

    def block(self, known: set[str], depth: int, *, top: bool = False) -> tuple[Piece, ...]:
        """Up to `end` or `else`, which is left in `_ended`; the whole at the `top`."""
        if depth > DEPTH:
            raise wrong("its blocks are nested too deeply")
        pieces: list[Piece] = []
        known = set(known)
        while self._place < len(self._parts):
            is_action, text = self._parts[self._place]
            self._place += 1
            if not is_action:
                pieces.append(Text(text))
                continue
            word = text.split(None, 1)[0] if text.strip() else ""
            if word in {"end", "else"}:
                if top:
                    raise wrong(f"{word} ends nothing")
                self._ended = text
                return tuple(pieces)
            pieces.append(self._action(word, text, known, depth))
        if not top:
            raise wrong("a block is not ended")
        return tuple(pieces)

    def _action(self, word: str, text: str, known: set[str], depth: int) -> Piece:
        rest = text.removeprefix(word) if word in {"if", "with", "range"} else text
        match word:
            case "if" | "with":
                return self._condition(rest, known, depth, with_value=word == "with")
            case "range":
                return self._range(rest, known, depth)
            case "":
                raise wrong("an action is empty")
        line = Line(text, known, self.fields)
        name = line.assigned()
        if name is None:
            return Shown(line.whole())
        declares = line.sign == ":="
        if not declares and name not in known:
            raise wrong(f"{name} was never declared")
        value = line.whole()
        known.add(name)
        return Set(name, value, declares)

    def _condition(self, text: str, known: set[str], depth: int, *, with_value: bool) -> If:
        condition = Line(text, known, self.fields).whole()
        then = self.block(known, depth + 1)
        return If(condition, then, self._else(known, depth), with_value)

    def _else(self, known: set[str], depth: int) -> tuple[Piece, ...]:
        ended = self._ended.split(None, 1)
        if ended[0] == "end":
            if ended[1:]:
                raise wrong("something follows end")
            return ()
        if len(ended) == 1:
            otherwise = self.block(known, depth + 1)
            if self._ended.strip() != "end":
                raise wrong("else stands there twice")
            return otherwise
        word, _, rest = ended[1].partition(" ")
        if word != "if":
            raise wrong(f"else {word} is not known")
        return (self._condition(rest, known, depth + 1, with_value=False),)

    def _range(self, text: str, known: set[str], depth: int) -> Range:
        line = Line(text, known, self.fields)
        names = line.ranged()
        values = line.whole()
        body = self.block(known | set(names), depth + 1)
        return Range(values, names, body, self._else(known, depth))


def split(text: str) -> list[tuple[bool, str]]:
    """Text and actions in turn; comments are gone, and so are spaces where a trim marker stands."""
    parts: list[tuple[bool, str]] = []
    place, trims = 0, False
    for found in _ACTION.finditer(text):
        before, inside = found["before"], found["inside"].strip()
        before = before.lstrip() if trims else before
        before = before.rstrip() if found["left"] else before
        trims, place = bool(found["right"]), found.end()
        if before:
            parts.append((False, before))
        if not (inside.startswith("/*") and inside.endswith("*/")):
            parts.append((True, inside))
    rest = text[place:].lstrip() if trims else text[place:]
    if "{{" in rest:
        raise wrong("an action is opened and not closed")
    return [*parts, (False, rest)] if rest else parts
