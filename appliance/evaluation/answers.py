"""Answers to the questions of a set, through the service that serves people, held against the gold ones."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from appliance.bootstrap import Appliance
from appliance.chat.models import ABSTAINED, Citation, Message, MessageStatus
from appliance.evaluation.corpus import Corpus
from appliance.evaluation.dataset import Question
from appliance.evaluation.measures import exact_match, token_f1
from appliance.identity.models import Principal


@dataclass(frozen=True, slots=True)
class _Graded:
    """One answer against its question."""

    possible: bool
    failed: bool
    abstained: bool
    exact: bool
    f1: float
    citations: int
    supported: int
    seconds: float


def chosen(questions: Sequence[Question], count: int) -> list[Question]:
    """`count` questions spread evenly over the set, the same ones every time."""
    count = min(count, len(questions))
    return [questions[at * len(questions) // count] for at in range(count)]


def grade_answers(
    appliance: Appliance, person: Principal, corpus: Corpus, questions: Sequence[Question], progress: Callable[[str], None]
) -> dict[str, float | int]:
    """Ask each question in a conversation of its own. Rates of answerable and unanswerable questions are kept apart."""
    graded = []
    for at, question in enumerate(questions, 1):
        started = time.perf_counter()
        message = appliance.chat.answer_now(person, question.text, corpus.collection_id)
        graded.append(_grade(message, question, corpus, time.perf_counter() - started))
        progress(f"Answered {at} of {len(questions)} questions")
    possible = [item for item in graded if item.possible]
    impossible = [item for item in graded if not item.possible]
    cited = sum(item.citations for item in possible)
    return {
        "questions": len(graded),
        "impossible": len(impossible),
        "failed": sum(item.failed for item in graded),
        "exact_match": _mean(item.exact for item in possible),
        "f1": _mean(item.f1 for item in possible),
        "citation_precision": round(sum(item.supported for item in possible) / cited, 4) if cited else 0.0,
        "answers_with_citation": _mean(item.citations > 0 for item in possible),
        "abstained": _mean(item.abstained for item in possible),
        "abstained_when_impossible": _mean(item.abstained for item in impossible),
        "seconds_per_answer": _mean(item.seconds for item in graded),
    }


def _grade(message: Message, question: Question, corpus: Corpus, seconds: float) -> _Graded:
    gold = [span.text for span in question.answers]
    return _Graded(
        possible=bool(gold),
        failed=message.status is not MessageStatus.DONE,
        abstained=message.finish_reason == ABSTAINED,
        exact=exact_match(message.text, gold),
        f1=token_f1(message.text, gold),
        citations=len(message.citations),
        supported=sum(_supports(citation, question, corpus) for citation in message.citations),
        seconds=seconds,
    )


def _supports(citation: Citation, question: Question, corpus: Corpus) -> bool:
    if citation.document_id != corpus.document_ids[question.article]:
        return False
    start = corpus.paragraph_starts[question.article][question.paragraph]
    return any(citation.start <= start + span.start and start + span.end <= citation.end for span in question.answers)


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return round(sum(listed) / len(listed), 4) if listed else 0.0
