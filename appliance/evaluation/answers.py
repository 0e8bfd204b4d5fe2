"""Answers to the questions of a set, through the service that serves people, held against the gold ones."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from appliance.bootstrap import Appliance
from appliance.chat.models import ABSTAINED, Citation, Message, MessageStatus
from appliance.chat.sentences import split_sentences
from appliance.evaluation.corpus import Corpus
from appliance.evaluation.dataset import Question
from appliance.evaluation.measures import exact_match, token_f1
from appliance.identity.models import Principal
from appliance.language.squad import contains_answer


@dataclass(frozen=True, slots=True)
class Graded:
    """One answer against its question. `supported` of its `citations` name words that hold a gold answer."""

    possible: bool
    failed: bool
    abstained: bool
    contains: bool
    """Whether what is shown holds a gold answer."""
    exact: bool
    f1: float
    citations: int
    supported: int
    sentences: int
    """Those shown, quotations included."""
    cited_sentences: int
    tokens: int
    """Of the prompt and of what the model wrote; 0 where it was not asked."""
    seconds: float
    answerability: float | None = None
    """How likely the passages found hold an answer; None where it was not kept."""


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
    return summary(graded)


def summary(graded: Sequence[Graded]) -> dict[str, float | int]:
    """Shares over the answers. Of those that cannot be answered, `abstention_recall` is the share met with silence.

    `citation_precision` is the share of citations that hold a gold answer, `citation_recall` that of answerable questions with
    such a citation, silence included; `abstention_precision` the share of silences that were right. `contains_answer` is the
    share of answerable questions whose answer holds a gold one; `exact_match` and `f1` are SQuAD's, made for answers of a few
    words, and low for whole sentences however right.
    """
    possible = [item for item in graded if item.possible]
    impossible = [item for item in graded if not item.possible]
    silent = [item for item in graded if item.abstained]
    spoken = [item for item in possible if not item.abstained]
    return {
        "questions": len(graded),
        "impossible": len(impossible),
        "failed": sum(item.failed for item in graded),
        "contains_answer": _mean(item.contains for item in possible),
        "exact_match": _mean(item.exact for item in possible),
        "f1": _mean(item.f1 for item in possible),
        "citation_precision": _share((item.supported for item in spoken), (item.citations for item in spoken)),
        "citation_recall": _mean(item.supported > 0 for item in possible),
        "answers_with_citation": _mean(item.citations > 0 for item in possible),
        "grounded_sentences": _share((item.cited_sentences for item in graded), (item.sentences for item in graded)),
        "false_abstention": _mean(item.abstained for item in possible),
        "abstention_recall": _mean(item.abstained for item in impossible),
        "abstention_precision": _mean(not item.possible for item in silent),
        "seconds_per_answer": _mean(item.seconds for item in graded),
        "tokens_per_answer": _mean(item.tokens for item in graded),
    }


def grade(
    text: str,
    marks: Collection[int],
    *,
    gold: Sequence[str],
    possible: bool,
    failed: bool,
    abstained: bool,
    supported: int,
    tokens: int,
    seconds: float,
    answerability: float | None = None,
) -> Graded:
    """One answer; `marks` say where in `text` the mark of each citation stands, `supported` how many name what they should."""
    sentences = [] if abstained else split_sentences(text)
    return Graded(
        possible=possible,
        failed=failed,
        abstained=abstained,
        contains=not abstained and contains_answer(text, gold),
        exact=exact_match(text, gold),
        f1=token_f1(text, gold),
        citations=len(marks),
        supported=supported,
        sentences=len(sentences),
        cited_sentences=sum(any(sentence.start <= mark <= sentence.end + 1 for mark in marks) for sentence in sentences),
        tokens=tokens,
        seconds=seconds,
        answerability=answerability,
    )


def _grade(message: Message, question: Question, corpus: Corpus, seconds: float) -> Graded:
    gold = [span.text for span in question.answers]
    return grade(
        message.text,
        [citation.answer_start for citation in message.citations],
        gold=gold,
        possible=bool(gold),
        failed=message.status is not MessageStatus.DONE,
        abstained=message.finish_reason == ABSTAINED,
        supported=sum(_supports(citation, question, corpus) for citation in message.citations),
        tokens=message.prompt_tokens + message.completion_tokens,
        seconds=seconds,
    )


def _supports(citation: Citation, question: Question, corpus: Corpus) -> bool:
    if citation.document_id != corpus.document_ids[question.article]:
        return False
    start = corpus.paragraph_starts[question.article][question.paragraph]
    return any(citation.start <= start + span.start and start + span.end <= citation.end for span in question.answers)


def _share(parts: Iterable[int], wholes: Iterable[int]) -> float:
    whole = sum(wholes)
    return round(sum(parts) / whole, 4) if whole else 0.0


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return round(sum(listed) / len(listed), 4) if listed else 0.0
