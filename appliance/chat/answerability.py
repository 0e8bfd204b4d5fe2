"""Whether the passages found can hold an answer at all, judged before a model is asked. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from appliance.chat.words import content_terms
from appliance.retrieval.models import Hit

SIMILARITY_SURE = 0.55
SIMILARITY_FLOOR = 0.20
COVERAGE_SURE = 0.60


def confident(question: str, hits: Sequence[Hit]) -> bool:
    """Whether the best passages are about the question, by meaning or by words."""
    wanted = set(content_terms(question))
    if not hits or not wanted:
        return bool(hits) and max(hit.similarity for hit in hits) >= SIMILARITY_SURE
    similarity = max(hit.similarity for hit in hits)
    coverage = max(len(wanted & set(content_terms(f"{hit.heading} {hit.text}"))) / len(wanted) for hit in hits)
    if similarity >= SIMILARITY_SURE:
        return coverage > 0
    return similarity >= SIMILARITY_FLOOR and coverage >= COVERAGE_SURE
