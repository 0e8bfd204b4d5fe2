"""Question sets in SQuAD's JSON format, checked before anything is indexed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from appliance.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Article:
    """One document: its paragraphs in order, and its language where the file tells it."""

    title: str
    paragraphs: tuple[str, ...]
    language: str = ""


@dataclass(frozen=True, slots=True)
class Span:
    """A gold answer: characters of its paragraph."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Question:
    """A question and where its answers stand; without answers it cannot be answered from this set."""

    text: str
    article: int
    paragraph: int
    answers: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Dataset:
    """Articles, and questions that point into them."""

    articles: tuple[Article, ...]
    questions: tuple[Question, ...]


def load_dataset(path: Path) -> Dataset:
    """Read and check a file. Raises `InvalidInput` with a sentence that names the place that is wrong."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"The question set {path} cannot be read ({error.strerror}).", code="evaluation.unreadable") from None
    return parse_dataset(content, f"The question set {path}")


def parse_dataset(text: bytes | str, name: str) -> Dataset:
    """As `load_dataset`, from the content; `name` begins the sentence of an error."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidInput(f"{name} is not JSON.", code="evaluation.not_json") from None
    articles: list[Article] = []
    questions: list[Question] = []
    for number, entry in enumerate(_list(content, "data", "the file")):
        place = f"data[{number}]"
        paragraphs: list[str] = []
        for at, paragraph in enumerate(_list(entry, "paragraphs", place)):
            within = f"{place}.paragraphs[{at}]"
            context = _text(paragraph, "context", within)
            paragraphs.append(context)
            asked = _list(paragraph, "qas", within) if "qas" in paragraph else []
            questions += [_question(item, f"{within}.qas[{n}]", number, at, context) for n, item in enumerate(asked)]
        title = entry.get("title")
        language = entry.get("language")
        articles.append(
            Article(
                title.strip() if isinstance(title, str) else "", tuple(paragraphs), language if isinstance(language, str) else ""
            )
        )
    if not questions:
        raise InvalidInput(f"{name} holds no questions.", code="evaluation.empty")
    return Dataset(tuple(articles), tuple(questions))


def withhold(dataset: Dataset, share: float, seed: int) -> Dataset:
    """The set without the gold paragraphs of `share` of its answerable questions, drawn by `seed`: these have no answers left.

    Other questions of a withheld paragraph lose theirs too, so that a few more than `share` may. Raises `InvalidInput`.
    """
    if not 0 <= share < 1:
        raise InvalidInput("The share to withhold is a number from 0 to below 1.", code="evaluation.withhold")
    answerable = [question for question in dataset.questions if question.answers]
    drawn = [answerable[at] for at in np.random.default_rng(seed).permutation(len(answerable))]
    places: set[tuple[int, int]] = set()
    withheld = 0
    for question in drawn:
        if withheld >= share * len(answerable):
            break
        place = question.article, question.paragraph
        if place not in places:
            places.add(place)
            withheld += sum((other.article, other.paragraph) == place for other in answerable)
    articles = (
        replace(
            article,
            paragraphs=tuple("" if (at, number) in places else text for number, text in enumerate(article.paragraphs)),
        )
        for at, article in enumerate(dataset.articles)
    )
    questions = (
        replace(question, answers=()) if (question.article, question.paragraph) in places else question
        for question in dataset.questions
    )
    return Dataset(tuple(articles), tuple(questions))


def _question(item: Any, place: str, article: int, paragraph: int, context: str) -> Question:
    text = _text(item, "question", place)
    impossible = bool(item.get("is_impossible", False))
    given = [] if impossible or item.get("answers") is None else _list(item, "answers", place)
    return Question(text, article, paragraph, tuple(_spans(given, f"{place}.answers", context)))


def _spans(given: list[Any], place: str, context: str) -> Iterator[Span]:
    for at, answer in enumerate(given):
        text = _text(answer, "text", f"{place}[{at}]")
        start = answer.get("answer_start")
        if isinstance(start, bool) or not isinstance(start, int):
            raise _wrong(f"{place}[{at}].answer_start is not a whole number")
        if not text.strip():
            raise _wrong(f"{place}[{at}].text is empty")
        # published sets are off by a few characters here and there, mostly by white space around the answer
        stripped = text.strip()
        start = _nearest(context, stripped, start)
        if start < 0:
            raise _wrong(f"{place}[{at}].text does not stand in the context")
        yield Span(start, start + len(stripped), stripped)


def _nearest(context: str, text: str, start: int) -> int:
    """Where `text` stands in `context` closest to `start`; -1 where it does not."""
    start = min(max(start, 0), len(context))
    before, after = context.rfind(text, 0, start + len(text)), context.find(text, start)
    if before < 0 or after < 0:
        return max(before, after)
    return before if start - before < after - start else after


def _list(holder: Any, name: str, place: str) -> list[Any]:
    value = holder.get(name) if isinstance(holder, dict) else None
    if not isinstance(value, list):
        raise _wrong(f"{place} has no list named {name}")
    return value


def _text(holder: Any, name: str, place: str) -> str:
    value = holder.get(name) if isinstance(holder, dict) else None
    if not isinstance(value, str):
        raise _wrong(f"{place} has no text named {name}")
    return value


def _wrong(what: str) -> InvalidInput:
    return InvalidInput(f"The question set is not in SQuAD format: {what}.", code="evaluation.format")
