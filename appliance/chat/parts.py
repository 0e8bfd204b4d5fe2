"""A question that asks several things, taken apart: each part is searched for by itself. Pure.

One search for "How much does a dog cost, and when is payday?" finds passages that hold a little of both, and no passage holds
enough of them to be answered from. A part that leans on the one before it ("and what is its limit?") carries that one's words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from appliance.chat.followup import points_back, standalone_query
from appliance.chat.words import content_terms

_MOST = 3
_ASKING = """
    what how when where who whom whose which why
    was wie wann wo wer wen wem wessen welche welcher welches welchen warum wieso wieviel
    qué cómo cuándo dónde quién cuál cuánto cuánta cuántos cuántas quanto quanta quantos quantas quando onde quem qual como
    que quoi comment quand où qui quel quelle quels quelles combien pourquoi wat hoe wanneer waar wie welk waarom
"""
_VERBS = """
    is are was were can may must should do does did has have will
    ist sind kann darf muss gibt hat haben es son puede debe hay pode deve há est sont peut doit
"""
_AND = r"\s+(?:and|und|y|e|et|en)\s+"
_BREAK = re.compile(
    rf"[?？]+\s*|[,;]?{_AND}(?=(?:{'|'.join(_ASKING.split())})\b)|[,;]{_AND}(?=(?:{'|'.join(_VERBS.split())})\b)",  # noqa: RUF001
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that is asked, and what is searched for: the same, with the words it leans on."""

    asked: str
    query: str


def question_parts(question: str) -> list[Part]:
    """At least one, at most three; the question itself where it asks one thing, or where a part has no word to search for."""
    pieces = [piece.strip() for piece in _BREAK.split(question) if piece.strip()]
    if not 1 < len(pieces) <= _MOST or not all(content_terms(piece) for piece in pieces):
        return [Part(question, question)]
    return [
        Part(piece, standalone_query(piece, pieces[:number]) if points_back(piece) else piece)
        for number, piece in enumerate(pieces)
    ]
