"""Words as SQuAD compares them (Rajpurkar et al. 2016): without case, punctuation and English articles."""

from __future__ import annotations

import re
import string
from collections.abc import Iterable

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def compared_words(text: str) -> list[str]:
    """The words that count."""
    return _ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split()


def contains_answer(text: str, gold: Iterable[str]) -> bool:
    """Whether the text has one of `gold` in it, word for word: what is fair to a quoted sentence."""
    ours = compared_words(text)
    wanted = [words for words in map(compared_words, gold) if words]
    return any(ours[at : at + len(words)] == words for words in wanted for at in range(len(ours) - len(words) + 1))
