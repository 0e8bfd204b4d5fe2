"""What is found for a question: passages for each thing it asks that they can hold an answer to. Pure but for the search."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from appliance.chat.answerability import answerability, answerable
from appliance.chat.parts import Part, question_parts
from appliance.chat.policy import Silence
from appliance.retrieval.models import Hit


@dataclass(frozen=True, slots=True)
class Found:
    """`queries`: what was searched for, of each part that can be answered; none where nothing can. `hits`: best first.

    `missing`: the parts that cannot be answered where another one can, as they were asked.
    """

    queries: tuple[str, ...]
    hits: list[Hit]
    missing: tuple[str, ...] = ()


def find(question: str, query: str, search: Callable[[str], list[Hit]], silence: Silence) -> Found:
    """`query` is the question with what it leans on; one that leans is not taken apart.

    Where no part can be answered the question is tried as a whole: it may have been taken apart where it asks one thing.
    """
    parts = question_parts(question) if query == question else [Part(question, query)]
    found = [(part, search(part.query)) for part in parts]
    kept = _answerable(found, silence)
    missing = [part.asked for part, _ in found if kept and part not in [one for one, _ in kept]]
    if not kept and len(parts) > 1:
        found.insert(0, (Part(question, question), search(question)))
        kept = _answerable(found[:1], silence)
    return Found(tuple(part.query for part, _ in kept), _in_turn([hits for _, hits in kept or found]), tuple(missing))


def best_answerability(question: str, search: Callable[[str], list[Hit]]) -> float:
    """The score that decides whether a question which leans on nothing is answered: that of the whole, or of its best part."""
    queries = dict.fromkeys([question, *(part.query for part in question_parts(question))])
    return max(answerability(query, search(query)) for query in queries)


def _answerable(found: Sequence[tuple[Part, list[Hit]]], silence: Silence) -> list[tuple[Part, list[Hit]]]:
    return [(part, hits) for part, hits in found if answerable(part.asked, part.query, hits, silence)]


def _in_turn(lists: Iterable[Sequence[Hit]]) -> list[Hit]:
    """The best of each, then the second of each; a passage found twice stands once."""
    merged = (hit for row in zip_longest(*lists) for hit in row if hit is not None)
    return list({hit.chunk_id: hit for hit in merged}.values())
