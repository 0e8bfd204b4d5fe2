"""From what the model wrote to what is released: supported sentences with marks the system set itself. Pure.

The marks a model writes are taken out: they say which passage it believes it used, and a small model believes anything. A mark
`[n]` is set behind a sentence only where passage n holds the evidence, and the citation names the words that do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from appliance.chat.claims import Span
from appliance.chat.grounding import find_support
from appliance.chat.live_text import LiveText
from appliance.chat.quotes import Quote
from appliance.chat.release import MARK, Secrets, breaches, is_frame, may_tell, quotable, readable
from appliance.chat.sentences import split_sentences
from appliance.chat.words import content_terms
from appliance.retrieval.models import Hit

_ROUND_MARK = re.compile(r"\s*\((?:passages?\s*)?\d{1,2}(?:\s*,\s*\d{1,2})*\)(?!\w)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class CheckedAnswer:
    """A text whose every mark has a span behind it; how many of its sentences are supported, and how many are not."""

    text: str
    spans: tuple[Span, ...] = ()
    supported: int = 0
    unsupported: int = 0


class AnswerDraft:
    """An answer as it grows: quotes, checked sentences, and the marks behind them. Nothing is said twice.

    Passages are numbered in the order in which they are first cited. With `strict`, a model's sentence needs the stricter support
    of `find_support`. `question` is what was asked: a sentence without a word beyond it answers nothing. A sentence that tells
    one of the `secrets`, or an address that its passage does not hold, has no support.
    """

    def __init__(
        self, passages: Sequence[Hit], *, question: str = "", strict: bool = False, secrets: Secrets | None = None
    ) -> None:
        self._passages = passages
        self._asked = frozenset(content_terms(question))
        self._strict = strict
        self._secrets = secrets or Secrets()
        self._text = ""
        self._spans: list[Span] = []
        self._cited: list[int] = []
        self._told: set[frozenset[str]] = set()
        self._supported = self._unsupported = self._own = 0
        self.written = False
        """Whether a sentence of the model's own is among it."""

    def add_quotes(self, quotes: Sequence[Quote]) -> None:
        """Sentences of the passages, word for word and marked as such, a line each."""
        for quote in quotes:
            if not is_frame(quote.text) and self._is_new(quote.text):
                self._tell(quote.text, f"“{' '.join(quotable(quote.text).split())}”", "\n")
                self._cite(quote.passage, quote.start, quote.end)

    def add_checked(self, text: str) -> bool:
        """The sentences of a model's text that the passages support; whether none had to be left out for want of support."""
        plain = _ROUND_MARK.sub("", MARK.sub("", readable(text)))
        sources = [hit.text for hit in self._passages]
        previous_end, before = 0, self._unsupported
        for sentence in split_sentences(plain):
            line = "\n" if "\n" in plain[previous_end : sentence.start] else " "
            previous_end = sentence.end
            if not self._is_new(sentence.text):
                continue
            support = find_support(sentence.text, sources, strict=self._strict)
            told = support is not None and may_tell(sentence.text, sources[support.passage], self._secrets)
            if support is None or not told or self._asked.issuperset(content_terms(sentence.text)):
                self._unsupported += 1
                continue
            self._tell(sentence.text, sentence.text, line if self.written else "\n\n")
            self.written = True
            self._own += 1
            self._cite(support.passage, support.start, support.end)
        return self._unsupported == before

    def live_text(self) -> LiveText:
        """For showing the model's words as they come."""
        return LiveText([hit.text for hit in self._passages], self._secrets)

    def breaches(self) -> tuple[str, ...]:
        """What the answer holds that none may hold: nothing, unless a check above has a hole."""
        return breaches(self._text, self._spans, [hit.text for hit in self.passages()], self._secrets)

    def own_sentences(self) -> tuple[int, int]:
        """How many sentences of the model's own a passage holds, and how many none does; quotations are not among them."""
        return self._own, self._unsupported

    def checked(self) -> CheckedAnswer:
        return CheckedAnswer(self._text, tuple(self._spans), self._supported, self._unsupported)

    def passages(self) -> tuple[Hit, ...]:
        """The passages as numbered: those cited in the order of their marks, then the others."""
        others = (index for index in range(len(self._passages)) if index not in self._cited)
        return tuple(self._passages[index] for index in (*self._cited, *others))

    def _is_new(self, sentence: str) -> bool:
        terms = frozenset(content_terms(sentence))
        return not terms or not any(terms <= before for before in self._told)

    def _tell(self, sentence: str, shown: str, separator: str) -> None:
        # only what is shown: a sentence without support must not keep the passage's own words from being quoted
        self._told.add(frozenset(content_terms(sentence)))
        self._write(shown, separator)

    def _write(self, text: str, separator: str) -> None:
        self._text += (separator if self._text else "") + text

    def _cite(self, passage: int, start: int, end: int) -> None:
        if passage not in self._cited:
            self._cited.append(passage)
        number = self._cited.index(passage) + 1
        mark = f"[{number}]"
        self._write(mark, " ")
        self._supported += 1
        hit = self._passages[passage]
        exact = len(hit.text) == hit.end - hit.start
        span = (hit.start + start, hit.start + end) if exact else (hit.start, hit.end)
        self._spans.append(Span(number, len(self._text) - len(mark), len(self._text), *span))
