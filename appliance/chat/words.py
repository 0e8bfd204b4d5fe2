"""What counts as a word when texts are compared, in any language."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from appliance.chat.function_words import BY_LANGUAGE, CONTRARIES, NEGATIONS
from appliance.retrieval.terms import index_terms

_WORD = re.compile(r"\w+(?:[.,:/'\u2019-]\w+)*")
_SHARED_CHARACTERS, _SHARED_SHARE = 5, 0.6
_NUMBER = re.compile(r"\d+(?:[.,:/-]\d+)*")


@lru_cache(maxsize=1)
def _empty_terms() -> frozenset[str]:
    return frozenset(term for words_of in BY_LANGUAGE.values() for term in index_terms(words_of))


def content_terms(text: str) -> list[str]:
    """Terms of the words that carry meaning, in order, repeated where the text repeats them."""
    empty = _empty_terms()
    return [term for term in index_terms(text) if term not in empty]


def content_words(text: str) -> list[tuple[str, str]]:
    """Pairs of term and word as written, for the words that carry meaning, in order."""
    return [(term, word) for word in _WORD.findall(text) for term in content_terms(word)[:1]]


def matches(wanted: Iterable[str], terms: Iterable[str]) -> frozenset[str]:
    """Those of `wanted` that are among `terms`, or share a long beginning with one of them (inflection, compounds)."""
    held = set(terms)
    return frozenset(term for term in wanted if term in held or any(_alike(term, other) for other in held))


def _alike(term: str, other: str) -> bool:
    shorter, longer = sorted((len(term), len(other)))
    need = max(_SHARED_CHARACTERS, math.ceil(longer * _SHARED_SHARE))
    return shorter >= need and term[:need] == other[:need]


def fold(text: str) -> str:
    """Case, width and accents taken away; the length may change."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(character for character in decomposed if not unicodedata.combining(character))


def is_negated(sentence: str) -> bool:
    """Whether a word of the sentence turns it round; two such words count as one."""
    return not _negations().isdisjoint(words(sentence))


def is_contrary(sentence: str, source: str) -> bool:
    """Whether the sentence says before, most or weeks where its source has only after, least or days."""
    said, known = set(words(sentence)), set(words(source))
    for meanings in _contraries():
        theirs = [not known.isdisjoint(meaning) for meaning in meanings]
        if any(theirs) and any(not said.isdisjoint(meaning) and not held for meaning, held in zip(meanings, theirs, strict=True)):
            return True
    return False


@lru_cache(maxsize=1)
def _contraries() -> tuple[tuple[frozenset[str], ...], ...]:
    return tuple(tuple(frozenset(fold(meaning).split()) for meaning in meanings) for meanings in CONTRARIES)


@lru_cache(maxsize=1)
def _negations() -> frozenset[str]:
    return frozenset(fold(NEGATIONS).split())


def words(text: str) -> set[str]:
    """All words, folded."""
    return set(_WORD.findall(fold(text)))


def numbers(text: str) -> set[str]:
    """Numbers with their separators, as written: `1,200`, `3.5`, `08:30`, `2024-05-01`."""
    return set(_NUMBER.findall(text))


def names(sentence: str) -> set[str]:
    """Words that look like names or codes, folded: capitals that do not merely open the sentence, letters mixed with digits."""
    found = set()
    for position, word in enumerate(_WORD.findall(sentence)):
        capital = word[0].isupper() and (position > 0 or word[1:] != word[1:].lower())
        mixed = any(c.isdigit() for c in word) and any(c.isalpha() for c in word)
        if (capital or mixed) and content_terms(word):
            found.add(fold(word))
    return found
