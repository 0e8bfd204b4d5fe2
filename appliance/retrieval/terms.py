"""From text to the terms of the word index; the same steps for passages and for questions.

Words are case-folded and stemmed by the rules of their script, marks are taken off, and what is written with digits or joined
by `-`, `/`, `.` and the like ("EN-1234/5") is kept whole beside its parts, so that a code is found literally. Scripts written
without spaces are cut into overlapping pairs of characters. The commonest English words carry no meaning on their own and are
left out, unless written in capitals: "who" says nothing, "WHO" is an organisation.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

import snowballstemmer

LONGEST_TERM = 60
"""Characters of a term; what is longer (encoded data, broken text) is cut here, in passages and questions alike."""

_FUNCTION_WORDS = """
a about above after again against all also am an and any are as at be because been before being below between both but by can
could did do does doing down during each few for from further had has have having he her here hers herself him himself his how
i if in into is it its itself just me more most my myself no nor not of off on once only or other our ours ourselves out over
own s same she should so some such t than that the their theirs them themselves then there these they this those through to too
under until up very was we were what when where which while who whom why will with would you your yours yourself yourselves
"""
_STOP_WORDS = frozenset(_FUNCTION_WORDS.split())

# Han, kana, bopomofo, Hangul, Thai, Lao, Myanmar, Khmer: scripts written without spaces, or with endings glued on
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u2e80-\u2fdf\u3005-\u3007\u3040-\u30ff\u3100-\u318f\u31f0-\u31ff"
)
_UNSPACED += "\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff"
_UNSPACED_RUN = re.compile(f"[{_UNSPACED}]+")
_WORD = re.compile(r"[^\W_]+(?:[\u0300-\u036f\u0591-\u05c7\u064b-\u0670\u0900-\u0dff\u0640]+[^\W_]*)*")
# anchored and possessive: a megabyte of one letter must not cost a square of its length
_JOINED = re.compile(r"(?<![^\W_])[^\W_]++(?:[-/._:#+&@]++[^\W_]++)+")
_DIGIT = re.compile(r"\d")
_FORBIDDEN = re.compile(r"[^\w\-/.:#+&@]")


def index_terms(text: str) -> list[str]:
    """Terms of a passage, in order and with repetitions."""
    return _terms(text, pairs_only=False)


def question_terms(text: str, *, limit: int = 48) -> list[str]:
    """Distinct terms of a question in the order of their first use, at most `limit`."""
    return list(dict.fromkeys(_terms(text, pairs_only=True)))[:limit]


def _terms(text: str, *, pairs_only: bool) -> list[str]:
    # NUL and lone surrogates cannot be stored or bound, and are never part of a word
    text = unicodedata.normalize("NFKC", text.encode("utf-8", "ignore").decode("utf-8"))
    found: list[str] = []
    for word in _WORD.findall(text):
        runs = _UNSPACED_RUN.findall(word) if not word.isascii() else []
        if not runs:
            found += _word_terms(word)
            continue
        for run in runs:
            found += [run[at : at + 2] for at in range(len(run) - 1)]
            found += run if not pairs_only or len(run) == 1 else ""
        for rest in _UNSPACED_RUN.split(word):
            found += _word_terms(rest) if rest else ()
    found += [_code(joined) for joined in _JOINED.findall(text) if _DIGIT.search(joined)]
    return found


def _code(joined: str) -> str:
    return _FORBIDDEN.sub("", _without_marks(joined.casefold()))[:LONGEST_TERM]


@lru_cache(maxsize=200_000)
def _word_terms(word: str) -> tuple[str, ...]:
    folded = word.casefold()
    if folded in _STOP_WORDS and not (word.isupper() and len(word) > 1):
        return ()
    if not _DIGIT.search(folded):
        language = _language(folded)
        if language:
            # stemmers keep state while they work; a new one per word not yet cached is safe in every thread
            folded = snowballstemmer.stemmer(language).stemWord(folded)
    term = _FORBIDDEN.sub("", _without_marks(folded))[:LONGEST_TERM]
    return (term,) if term else ()


def _language(word: str) -> str | None:
    """The stemmer for a word's script: the language most written in it."""
    if len(word) < 3:
        return None
    point = ord(word[0])
    if point < 0x250:
        return "porter"
    if 0x370 <= point < 0x400:
        return "greek"
    if 0x400 <= point < 0x530:
        return "russian"
    if 0x600 <= point < 0x700:
        return "arabic"
    return None


def _without_marks(text: str) -> str:
    if text.isascii():
        return text
    decomposed = unicodedata.normalize("NFKD", text)
    return unicodedata.normalize(
        "NFC", "".join(mark for mark in decomposed if not unicodedata.combining(mark) and mark != "\u0640")
    )
