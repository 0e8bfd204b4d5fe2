"""A question that leans on the ones before it, made to stand alone for the search. Pure.

"And on Sundays?" finds nothing by itself. A question is taken to lean on its predecessors when it opens with a conjunction,
points back with a pronoun, or says little of its own; then the content words of the question it leans on that it does not repeat
are put behind it. The person's own words always stay and stand first, and the prompt shows the question as it was asked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from appliance.chat.words import content_terms, content_words, fold

_CARRIED_LIMIT = 10
_FEW_TERMS = 1
_POINTING_TERMS = 4
"""A question with more words of its own is found by them, pronoun or not."""
_LOOK_BACK = 3
_WORD = re.compile(r"\w+")
_OPENING = re.compile(r"\W*(?:and|or|but|so|what about|how about|und|oder|aber|y|o|pero|e|ou|mas|et|mais|ma|en|of|maar)\b")
# pronouns of the third person and demonstratives; those that are also articles or conjunctions are left out
_POINTERS = """
    it its they them their theirs he him his she hers this these those ones
    er ihn ihm sein seine seinen sie ihre ihren ihnen dies diese dieser dieses diesem diesen dort dafür davon damit daran darüber
    él ella ellos ellas esto este esta estos estas eso ese esa esos esas allí ahí ele ela eles elas isto isso aquele aquela ali
    il elle ils elles leur leurs cela ça celui celle ceux celles esso essa questo questa quello quella loro hij zij hem haar hun
    deze daar ervan
"""
_FOLDED_POINTERS = frozenset(fold(_POINTERS).split())


def standalone_query(question: str, earlier: Sequence[str]) -> str:
    """The question, with the words it leans on; `earlier` are the questions before it, oldest first."""
    carried: list[str] = []
    held = set(content_terms(question))
    leaning = question
    for before in reversed(earlier[-_LOOK_BACK:]):
        if not _leans(leaning):
            break
        for term, word in content_words(before):
            if term not in held:
                held.add(term)
                carried.append(word)
        leaning = before
    return " ".join([question, *carried[:_CARRIED_LIMIT]])


def _leans(question: str) -> bool:
    own = len(set(content_terms(question)))
    if own <= _FEW_TERMS or _OPENING.match(question.casefold()):
        return True
    return own <= _POINTING_TERMS and points_back(question)


def points_back(question: str) -> bool:
    """Whether a pronoun in it stands for something that was said before."""
    return not _FOLDED_POINTERS.isdisjoint(_WORD.findall(fold(question)))
