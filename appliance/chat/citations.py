"""From what the model wrote to what is released: supported sentences with marks the system set itself. Pure.

The marks a model writes are taken out: they say which passage it believes it used, and a small model believes anything. A mark
`[n]` is set behind a sentence only where passage n holds the evidence, and the citation names the words that do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from appliance.chat.claims import Span
from appliance.chat.grounding import Support, find_support
from appliance.chat.quotes import Quote
from appliance.chat.sentences import split_sentences
from appliance.chat.words import content_terms
from appliance.retrieval.models import Hit

_MARK = re.compile(r"\s*[\[(](?:passages?\s*)?\d{1,2}(?:\s*,\s*\d{1,2})*[\])](?!\w)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class CheckedAnswer:
    """A text whose every mark has a span behind it; how many of its sentences are supported, and how many were withheld."""

    text: str
    spans: tuple[Span, ...]
    supported: int = 0
    withheld: int = 0


class _Page:
    """The text as it grows, and the marks set in it."""

    def __init__(self) -> None:
        self.text = ""
        self.spans: list[Span] = []

    def write(self, text: str, separator: str = " ") -> None:
        self.text += (separator if self.text else "") + text

    def cite(self, number: int, start: int, end: int) -> None:
        self.write(f"[{number}]")
        mark = len(self.text) - len(f"[{number}]")
        self.spans.append(Span(number, mark, len(self.text), start, end))


def check_answer(text: str, passages: Sequence[Hit], *, keep_unsupported: bool = False) -> CheckedAnswer:
    """The sentences of `text` that the passages support, each with its mark; others stay, unmarked, only where asked to."""
    page = _Page()
    supported = withheld = 0
    seen: set[tuple[str, ...]] = set()
    previous_end = 0
    texts = [hit.text for hit in passages]
    plain = _MARK.sub("", text)
    for sentence in split_sentences(plain):
        separator = "\n" if "\n" in plain[previous_end : sentence.start] else " "
        previous_end = sentence.end
        told = tuple(content_terms(sentence.text))
        if told and told in seen:
            continue
        seen.add(told)
        support = find_support(sentence.text, texts)
        if support is None:
            withheld += 1
            if keep_unsupported:
                page.write(sentence.text, separator)
            continue
        supported += 1
        page.write(sentence.text, separator)
        page.cite(support.passage + 1, *_in_document(passages[support.passage], support))
    return CheckedAnswer(page.text, tuple(page.spans), supported, withheld)


def quoted_answer(quotes: Sequence[Quote], passages: Sequence[Hit]) -> CheckedAnswer:
    """Sentences of the passages, word for word and marked as such."""
    page = _Page()
    for quote in quotes:
        page.write(f"“{' '.join(quote.text.split())}”", "\n")
        page.cite(quote.passage + 1, *_in_document(passages[quote.passage], quote))
    return CheckedAnswer(page.text, tuple(page.spans), supported=len(quotes))


def _in_document(hit: Hit, span: Support | Quote) -> tuple[int, int]:
    if len(hit.text) != hit.end - hit.start:
        return hit.start, hit.end
    return hit.start + span.start, hit.start + span.end
