"""Whether the passages found can hold an answer at all, judged before a model is asked. Pure.

A logistic score of four things: the score of the best passage, how far it leads those that the search finds for any question, the
share of the question's content words that one passage holds, and how little the embedder knows of the language, where the
scores are lower. Fitted on 1,592 questions of eight sets in four languages; `docs/decisions.md` has the measured trade-off and
`policies/answers.toml` the threshold.
"""

from __future__ import annotations

from collections.abc import Sequence

from appliance.chat.policy import Silence
from appliance.chat.words import content_terms, matches
from appliance.retrieval.models import Hit
from appliance.retrieval.reranking import embedder_trust

_SCORE, _LEAD, _COVERAGE, _UNTRUSTED = 0.18, 0.43, 3.0, 4.3


def answerable(question: str, query: str, hits: Sequence[Hit], silence: Silence) -> bool:
    """Whether it is worth trying to answer from these passages.

    `query` is the question with what it leans on; words borrowed from earlier questions must not hide that its own are missing.
    """
    if not hits or answerability(query, hits) < silence.threshold:
        return False
    if query == question:
        return True
    own = set(content_terms(question))
    told = {term for hit in hits for term in _terms(hit)}
    return len(matches(own, told)) >= silence.own_words * len(own)


def answerability(question: str, hits: Sequence[Hit]) -> float:
    """The score; about 3 where nothing fits, 12 for a passage that repeats the question."""
    wanted = list(dict.fromkeys(content_terms(question)))
    coverage = max((len(matches(wanted, _terms(hit))) for hit in hits), default=0) / max(1, len(wanted))
    best = max(hits, key=lambda hit: hit.score, default=None)
    if best is None:
        return 0.0
    return _SCORE * best.score + _LEAD * best.lead + _COVERAGE * coverage + _UNTRUSTED * (1 - embedder_trust(hits))


def _terms(hit: Hit) -> list[str]:
    return content_terms(f"{hit.document_name} {hit.heading} {hit.text}")
