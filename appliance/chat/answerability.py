"""Whether the passages found can hold an answer at all, judged before a model is asked. Pure.

A logistic score of three things that any retrieval gives: the share of the question's content words that one passage holds,
how well the best sentence fits the question by its words, and the best cosine. Fitted on 78 questions of four small handbooks
(English, German, Spanish; 46 of other questions their documents do not answer); `docs/decisions.md` has the measured trade-off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.chat.quotes import best_quotes
from appliance.chat.words import content_terms, matches
from appliance.retrieval.models import Hit

_SENTENCES_FROM = 4
"""Passages whose sentences are weighed."""


@dataclass(frozen=True, slots=True)
class AbstentionPolicy:
    """Weights of the score and the score from which an answer is tried: a higher threshold is more often silent."""

    coverage: float = 4.73
    similarity: float = 1.73
    fit: float = 3.27
    threshold: float = 5.34
    own_words: float = 0.5


DEFAULT_POLICY = AbstentionPolicy()


def answerable(question: str, query: str, hits: Sequence[Hit], policy: AbstentionPolicy = DEFAULT_POLICY) -> bool:
    """Whether it is worth trying to answer from these passages.

    `query` is the question with what it leans on; words borrowed from earlier questions must not hide that its own are missing.
    """
    if not hits or answerability(query, hits, policy) < policy.threshold:
        return False
    own = set(content_terms(question))
    told = {term for hit in hits for term in content_terms(f"{hit.document_name} {hit.heading} {hit.text}")}
    return len(matches(own, told)) >= policy.own_words * len(own)


def answerability(question: str, hits: Sequence[Hit], policy: AbstentionPolicy = DEFAULT_POLICY) -> float:
    """The score; 0 for no passages, about 10 for a passage that repeats the question."""
    wanted = list(dict.fromkeys(content_terms(question)))
    told = (content_terms(f"{hit.document_name} {hit.heading} {hit.text}") for hit in hits)
    coverage = max((len(matches(wanted, terms)) for terms in told), default=0) / max(1, len(wanted))
    similarity = max((hit.similarity for hit in hits), default=0.0)
    quotes = best_quotes(question, hits[:_SENTENCES_FROM], 1)
    fit = quotes[0].fit if quotes else 0.0
    return policy.coverage * coverage + policy.similarity * similarity + policy.fit * fit
