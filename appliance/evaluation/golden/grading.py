"""Whether an answer is what a golden set expects, and the figures of a whole run, by the measures of `cloister evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection

from appliance.administration.golden.models import Expected, Question, QuestionOutcome
from appliance.administration.golden.places import place_of
from appliance.chat.claims import Ending, Span
from appliance.chat.models import ABSTAINED, MessageStatus
from appliance.evaluation.answers import Graded, grade, summary
from appliance.evaluation.measures import RankingMeasures
from appliance.evaluation.trade_off import trade_off
from appliance.language.squad import contains_answer
from appliance.retrieval.models import Hit
from appliance.retrieval.pages import page_at

_OF_TEXT = ("contains_answer", "exact_match", "f1")
_OF_PROGRAMS = ("tokens_per_answer", "answers_with_citation")


@dataclass(frozen=True, slots=True)
class Found:
    """What the search alone gives for a question, best first, and how likely it holds an answer (`answerability`)."""

    hits: Sequence[Hit]
    answerability: float


def outcome_of(connection: Connection, question: Question, ending: Ending, found: Found, seconds: float) -> QuestionOutcome:
    """What came of one question."""
    expected = question.expected
    cited = [(span, ending.passages[span.number - 1]) for span in ending.spans]
    graded = grade(
        ending.text,
        [span.answer_start for span in ending.spans],
        gold=expected.answers,
        possible=not expected.silent,
        failed=ending.status is not MessageStatus.DONE,
        abstained=ending.finish_reason == ABSTAINED,
        supported=sum(_supports(connection, expected, hit, span) for span, hit in cited),
        tokens=ending.prompt_tokens + ending.completion_tokens,
        seconds=round(seconds, 3),
        answerability=round(found.answerability, 2),
    )
    return QuestionOutcome(
        question_id=question.id,
        ordinal=question.ordinal,
        question_sha256=expected.sha256,
        text=expected.text,
        right=_right(expected, graded),
        answer=ending.text,
        rank=place_of(connection, expected, found.hits),
        abstained=graded.abstained,
        failed=graded.failed,
        graded=asdict(graded),
        reason=ending.reason or "",
        model=ending.model or "",
    )


def figures_of(outcomes: Sequence[QuestionOutcome], expected: Sequence[Expected], hits: int, threshold: float) -> dict[str, Any]:
    """Shares over a run, as `cloister evaluate` names them, and how many questions were answered as expected."""
    graded = [Graded(**item.graded) for item in outcomes]  # type: ignore[arg-type]  # kept as JSON
    with_text = [item for item, wanted in zip(graded, expected, strict=True) if wanted.answers]
    ranking = RankingMeasures()
    for item in outcomes:
        if item.graded["possible"]:
            ranking.add([at == item.rank for at in range(1, hits + 1)], [0] * hits)
    found = summary(graded)
    answers = {name: value for name, value in found.items() if name not in {*_OF_TEXT, *_OF_PROGRAMS}}
    of_text = {name: value for name, value in summary(with_text).items() if name in _OF_TEXT} if with_text else {}
    retrieval = {name: value for name, value in ranking.report().items() if name != "coverage_at_tokens"}
    return {
        "right": sum(item.right for item in outcomes),
        "questions": len(outcomes),
        "answers": answers | of_text,
        "retrieval": retrieval if ranking.questions else {},
        "tokens_per_answer": found["tokens_per_answer"],
        "silence": trade_off(*_answerability(graded), threshold),
    }


def _answerability(graded: Sequence[Graded]) -> tuple[list[float], list[float]]:
    """Of what is to be answered and of what is to be met with silence; runs that are taken up from before may lack some."""
    known = [(item.possible, item.answerability) for item in graded if item.answerability is not None]
    return [score for possible, score in known if possible], [score for possible, score in known if not possible]


def _right(expected: Expected, graded: Graded) -> bool:
    if expected.silent or graded.failed or graded.abstained:
        return expected.silent and graded.abstained and not graded.failed
    return (graded.contains or not expected.answers) and (graded.supported > 0 or not expected.document)


def _supports(connection: Connection, expected: Expected, hit: Hit, span: Span) -> bool:
    """As `places.serves`, of the words that are cited."""
    if not expected.document:
        exact = len(hit.text) == hit.end - hit.start
        words = hit.text[span.start - hit.start : span.end - hit.start] if exact else hit.text
        return contains_answer(words, expected.answers)
    if hit.document_name != expected.document:
        return False
    return expected.page is None or (page_at(connection, hit.document_id, span.start) or hit.page) == expected.page
