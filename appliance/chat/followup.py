"""A question that leans on the one before it, made to stand alone for the search. Pure.

"And on Sundays?" finds nothing by itself. A question is taken to lean on its predecessor when it carries few words of its own
or points back with a pronoun; then the content words of the earlier question that it does not repeat are put in front of it.
The person's own words always stay, and the prompt shows the question as it was asked.
"""

from __future__ import annotations

from collections.abc import Sequence

from appliance.chat.words import content_terms

_CARRIED_LIMIT = 12
_FEW_CONTENT_WORDS = 3


def standalone_query(question: str, earlier: Sequence[str]) -> str:
    """The question, with what it leans on; `earlier` are the questions before it, oldest first."""
    if not earlier or len(set(content_terms(question))) > _FEW_CONTENT_WORDS:
        return question
    return f"{earlier[-1]} {question}"
