"""What is offered where the documents hold no answer: the passages that come nearest to the question, as just that. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from appliance.chat.answerability import answerability
from appliance.chat.policy import Silence
from appliance.chat.words import content_terms, matches
from appliance.retrieval.models import Hit

OFFERED = 3


def nearest_passages(query: str, found: Sequence[Hit], silence: Silence) -> tuple[Hit, ...]:
    """At most three, best first: each says a word of the question's and scores at least what the policy asks; often none does."""
    wanted = content_terms(query)
    near = (
        hit
        for hit in found
        if matches(wanted, content_terms(f"{hit.document_name} {hit.heading} {hit.text}"))
        and answerability(query, [hit]) >= silence.nearest
    )
    return tuple(hit for _, hit in zip(range(OFFERED), near, strict=False))
