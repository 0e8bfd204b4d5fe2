"""How many of a fixed set of questions a model answers rightly: a check that speed was not bought with sense.

Small on purpose. It tells a variant that lost its wits from its source; it does not tell a good model from a better one.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from appliance.errors import Unavailable
from appliance.inference.models import CompletionRequest, FinishReason, PromptMessage
from appliance.inference.runtime import Runtime

SHORT = 12
"""Questions of the short form, for the first start of a box."""

MARGIN = 0.06
"""How much of the share of right answers a variant may lose against its source: two of the 36 questions, or one of a dozen."""

_FILE = Path(__file__).with_name("quality_questions.toml")
_ANSWER_TOKENS = 32
_SYSTEM = "Answer the question in one short sentence, with words from the passage."


@dataclass(frozen=True, slots=True)
class Question:
    """`expects` must all stand in the answer; each is a choice of spellings."""

    passage: str
    asks: str
    expects: tuple[tuple[str, ...], ...]


def load_questions(limit: int | None = None) -> list[Question]:
    """The questions in their fixed order, the first `limit` of them."""
    rows = tomllib.loads(_FILE.read_text("utf-8"))["question"]
    questions = [Question(row["passage"], row["asks"], tuple(tuple(item.split("|")) for item in row["expects"])) for row in rows]
    return questions[:limit]


def share_answered(runtime: Runtime, questions: Sequence[Question]) -> float:
    """Share of the questions answered rightly, 0 to 1; each alone and without chance. Raises what the runtime raises."""
    right = 0
    for number, question in enumerate(questions):
        messages = (
            PromptMessage("system", _SYSTEM),
            PromptMessage("user", f"{question.passage}\n\nQuestion: {question.asks}"),
        )
        request = CompletionRequest(messages, max_tokens=_ANSWER_TOKENS, conversation=f"quality-{number}")
        pieces = []
        for delta in runtime.complete(request):
            pieces.append(delta.text)
            if delta.finish_reason is FinishReason.ERROR:
                raise Unavailable("The model failed while it answered.", code="inference.died")
        right += is_right("".join(pieces), question)
    return right / len(questions)


def is_right(answer: str, question: Question) -> bool:
    """Whether everything expected stands in the answer at the beginning of a word, upper and lower case alike."""
    said = answer.casefold()
    return all(any(re.search(rf"(?<!\w){re.escape(spelling)}", said) for spelling in choice) for choice in question.expects)
