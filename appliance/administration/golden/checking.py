"""What a golden question must be before it is kept."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from appliance.administration.golden.models import Expected
from appliance.errors import InvalidInput

QUESTIONS_LIMIT = 1_000
SEPARATOR = "|"
"""Between the answers of a question in a CSV file; none can hold it, so that an export can be imported again."""
_LONGEST_QUESTION, _LONGEST_ANSWER, _ANSWERS_LIMIT = 1_000, 2_000, 20


def checked(expected: Sequence[Expected], documents: Collection[str], already: int = 0) -> list[Expected]:
    """The questions without white space around their texts. Raises `InvalidInput`, which says which one and why.

    `documents` are the names that can be cited; a set holds `already` questions.
    """
    if already + len(expected) > QUESTIONS_LIMIT:
        raise InvalidInput(f"A golden set holds at most {QUESTIONS_LIMIT} questions.", code="golden.too_many")
    return [_checked(item, documents, at if len(expected) > 1 else 0) for at, item in enumerate(expected, 1)]


def _checked(given: Expected, documents: Collection[str], at: int) -> Expected:
    answers = tuple(dict.fromkeys(answer.strip() for answer in given.answers if answer.strip()))
    found = Expected(given.text.strip(), answers, given.document.strip(), given.page, given.silent)
    if not found.text or len(found.text) > _LONGEST_QUESTION:
        raise _wrong(at, f"a question has 1 to {_LONGEST_QUESTION} characters")
    if len(answers) > _ANSWERS_LIMIT or any(len(answer) > _LONGEST_ANSWER for answer in answers):
        raise _wrong(at, f"there are at most {_ANSWERS_LIMIT} expected answers of {_LONGEST_ANSWER} characters each")
    if any(SEPARATOR in answer for answer in answers):
        raise _wrong(at, f"an expected answer cannot hold {SEPARATOR}, which stands between answers")
    if found.silent and (answers or found.document):
        raise _wrong(at, "what must be met with silence has neither an answer nor a document")
    if not found.silent and not answers and not found.document:
        raise _wrong(at, "it needs an expected answer, a document that must be cited, or that silence is expected")
    if found.page is not None and (not found.document or found.page < 1):
        raise _wrong(at, "a page is a number from 1, and needs its document")
    if found.document and found.document not in documents:
        raise _wrong(at, f"there is no document named {found.document} in this collection", code="golden.document_unknown")
    return found


def _wrong(at: int, why: str, *, code: str = "golden.question") -> InvalidInput:
    where = f"Question {at} cannot be kept" if at else "This question cannot be kept"
    return InvalidInput(f"{where}: {why}.", code=code, question=at)
