"""A model's text on its way to the person before it is checked: what may not even be seen for a moment is held back.

Words are shown once they have ended. In place of an address that no passage holds, a secret of the prompt or a token of a chat
template stands `…`; marks of passages that were not given are left out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from appliance.chat.addresses import addresses, known_addresses
from appliance.chat.prompt import visible
from appliance.chat.release import MARK, RUN, Secrets, is_frame, plain_words, readable, tells_secret

LEFT_OUT = "…"
# Han, kana, Hangul, Thai and their neighbours write no spaces: a character there is a word, unless it may belong to an address
_LETTERS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u2fff\u3040-\u9fff\uac00-\ud7ff\uf900-\ufaff"
_UNSPACED = _LETTERS + "\u3000-\u303f\uff01-\uff60"
_WORD = re.compile(rf"\s*(?:(?>(?:[.@:/\\-][{_LETTERS}]*|[^\s{_UNSPACED}])+)(?=[\s{_UNSPACED}])|[{_UNSPACED}])")
_LONGEST = 400
_OPEN = re.compile(
    r"(?:[\[【〔⟦]\s*(?:passages?\s*)?(?:[\d\s,;:†\u2013-]|source)*"  # noqa: RUF001 - a mark
    r"|\[/?[A-Z_]{0,41}"
    r"|<{1,2}/?[\w:.\u2581-]{0,61}"
    r"|<\s*(?:\|(?:[^|<>\n]{0,60}(?:\|\s*)?)?)?"  # tokens of chat templates
    r")\Z",
    re.IGNORECASE,
)
"""What the next words may make into a mark or a token (`MARK`, `TEMPLATE`)."""


class LiveText:
    """Takes pieces as they come and gives back what may be shown of them by now."""

    def __init__(self, passages: Sequence[str], secrets: Secrets) -> None:
        self._known = frozenset[str]().union(*map(known_addresses, passages))
        self._numbers = frozenset(range(1, len(passages) + 1))
        self._secrets = secrets
        sources = f" {' '.join(plain_words(' '.join(passages)))} "
        self._rules = [f" {rule} " for rule in secrets.rules if f" {rule} " not in sources]
        self._rest = ""
        self._open: list[str] = []
        """Words since a bracket that has no end yet."""
        self._held: list[str] = []
        """Words that stand one after another in the rules."""
        self._hidden = False
        """Whether those are so many that they were left out."""

    def add(self, piece: str) -> str:
        self._rest += readable(piece)
        shown = ""
        while (match := _WORD.match(self._rest)) is not None or len(self._rest) > _LONGEST:
            end = match.end() if match is not None else len(self._rest)
            word, self._rest = self._rest[: min(end, _LONGEST)], self._rest[min(end, _LONGEST) :]
            if end <= _LONGEST or not word.strip():
                shown += self._take(word)
            else:  # no honest word is so long, and half of one tells nothing of what it is
                shown += self._close() + self._left_out(word)
        return shown

    def end(self) -> str:
        """What is left when nothing more comes."""
        shown = self._take(self._rest) if self._rest.strip() else ""
        self._rest = ""
        return shown + self._close() + self._let_go()

    def _close(self) -> str:
        """The words since a bracket that will have no end."""
        shown, self._open = "".join(map(self._word, self._open)), []
        return shown

    def _take(self, word: str) -> str:
        """Hold the word while a bracket before it has no end: a mark or a token may be spread over several."""
        self._open.append(word)
        shown = ""
        while self._open and not _OPEN.search(visible(whole := "".join(self._open))):
            if MARK.search(whole) or is_frame(whole):
                shown += self._word(whole)
                self._open = []
            else:
                shown += self._word(self._open.pop(0))
        if self._open and len(whole) > _LONGEST:  # no honest mark is so long
            shown += self._left_out(self._open[0])
            self._open = []
        return shown

    def _word(self, word: str) -> str:
        if tells_secret(word, Secrets(self._secrets.boundary)) or is_frame(word) or not addresses(word) <= self._known:
            return self._left_out(word)
        return self._past_rules(MARK.sub(self._mark, word))

    def _left_out(self, word: str) -> str:
        return self._let_go() + _space(word) + LEFT_OUT

    def _mark(self, mark: re.Match[str]) -> str:
        numbers = {int(number) for number in re.findall(r"\d+", mark.group())}
        return mark.group() if numbers <= self._numbers else ""

    def _past_rules(self, word: str) -> str:
        """Hold the word while it may go on to be a run of the rules; leave such a run out."""
        shown = ""
        while not (fits := self._in_rules([*self._held, word])) and self._held:
            shown += "" if self._hidden else self._held[0]
            del self._held[0]
            self._hidden = self._hidden and bool(self._held)
        if not fits:
            return shown + word
        self._held.append(word)
        if not self._hidden and fits >= RUN:
            shown += _space(self._held[0]) + LEFT_OUT
            self._hidden = True
        return shown

    def _in_rules(self, held: Sequence[str]) -> int:
        """How many words stand one after another in a rule; a rule shorter than a run counts as one when it is whole."""
        run = plain_words(" ".join(held))
        joined = f" {' '.join(run)} "
        return max((RUN if joined == rule else len(run) for rule in self._rules if run and joined in rule), default=0)

    def _let_go(self) -> str:
        held = "" if self._hidden else "".join(self._held)
        self._held, self._hidden = [], False
        return held


def _space(word: str) -> str:
    return word[: len(word) - len(word.lstrip())]
