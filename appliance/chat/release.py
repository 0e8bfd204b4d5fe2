"""What no answer may hold, whatever a document made the model write: judged in code, before anything is told. Pure.

Secrets of the prompt are the word that delimits its passages and its rules; an address is foreign where the cited passage does
not have it; a mark is false where no citation stands behind it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from appliance.chat.addresses import addresses, known_addresses
from appliance.chat.prompt import INVISIBLE, TEMPLATE, visible
from appliance.chat.words import fold

MARK = re.compile(r"\s*[\[［【〔⟦]\s*(?:passages?\s*)?\d(?:[\d\s,;:†\u2013-]|source)*[\]］】〕⟧]", re.IGNORECASE)  # noqa: RUF001
"""What may pass for a mark of ours, in the brackets of several scripts and models."""
_NUMBER = re.compile(r"\d+")
RUN = 5
"""So many words of the rules in a row are taken for them."""
_KEPT_JOINERS = "\u200c\u200d"  # letters of several scripts are joined or parted by them


class Cited(Protocol):
    """A mark's place in an answer, and the number of the passage behind it."""

    @property
    def number(self) -> int: ...

    @property
    def answer_start(self) -> int: ...

    @property
    def answer_end(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Secrets:
    """What the prompt of one request holds that belongs in no answer."""

    boundary: str = ""
    rules: tuple[str, ...] = ()
    """Words of the rules, one text after another."""


def secrets_of(boundary: str, *rules: str) -> Secrets:
    return Secrets(boundary.casefold(), tuple(" ".join(plain_words(text)) for text in rules if text.strip()))


def plain_words(text: str) -> list[str]:
    """Words as the rules are compared by: folded, without the signs between them."""
    return re.findall(r"\w+", fold(visible(text)))


def tells_secret(text: str, secrets: Secrets, sources: str = "") -> bool:
    """Whether the text holds the boundary, or a run of words of the rules that does not stand in the sources as well."""
    if secrets.boundary and secrets.boundary in visible(text).casefold():
        return True
    told, known = plain_words(text), f" {' '.join(plain_words(sources))} "
    for rule in secrets.rules:
        length = min(RUN, len(rule.split()))
        for at in range(len(told) - length + 1):
            run = f" {' '.join(told[at : at + length])} "
            if run in f" {rule} " and run not in known:
                return True
    return False


def may_tell(sentence: str, source: str, secrets: Secrets) -> bool:
    """Whether a sentence of the model's may stand in an answer that cites this passage for it."""
    return (
        addresses(sentence) <= known_addresses(source) and not is_frame(sentence) and not tells_secret(sentence, secrets, source)
    )


def is_frame(text: str) -> bool:
    """Whether it holds what looks like a token of a chat template."""
    return TEMPLATE.search(visible(text)) is not None


def readable(text: str) -> str:
    """Without characters that cannot be seen or that turn the reading round; all others as they are."""
    return "".join(c for c in text if c in "\n\t" or c in _KEPT_JOINERS or unicodedata.category(c) not in INVISIBLE)


def quotable(text: str) -> str:
    """A passage's own words as they are shown: its numbers in square brackets must not pass for ours."""
    return MARK.sub(_in_round_brackets, readable(text))


def _in_round_brackets(mark: re.Match[str]) -> str:
    space = mark.group()[: -len(mark.group().lstrip())]
    return f"{space}({', '.join(_NUMBER.findall(mark.group()))})"


def breaches(text: str, spans: Sequence[Cited], passages: Sequence[str], secrets: Secrets) -> tuple[str, ...]:
    """What is wrong with an answer that is about to be released; nothing where all is right.

    `passages` are the texts by number, from 1. Each stretch of the answer is held against the passages whose marks end it.
    """
    found = set()
    marks = {(match.end() - len(match.group().lstrip()), match.end()) for match in MARK.finditer(text)}
    if marks != {(span.answer_start, span.answer_end) for span in spans}:
        found.add("mark")
    if not all(1 <= span.number <= len(passages) for span in spans):
        return (*found, "passage")
    if tells_secret(text, secrets, "\n".join(passages)):
        found.add("secret")
    at = 0
    for span in (*spans, None):
        stretch = text[at:] if span is None else text[at : span.answer_start]
        allowed = frozenset() if span is None else known_addresses(passages[span.number - 1])
        if not addresses(stretch) <= allowed:
            found.add("address")
        at = len(text) if span is None else span.answer_end
    return tuple(sorted(found))
