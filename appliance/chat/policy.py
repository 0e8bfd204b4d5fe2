"""What `policies/answers.toml` says about answers, read at start and refused as a whole where anything is not understood."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from appliance.errors import SetupError


@dataclass(frozen=True, slots=True)
class Silence:
    """When no answer is tried: below which score (`answerability`), and below which share of a follow-up's own words.

    `nearest` is the score that a passage needs to be offered then.
    """

    threshold: float
    own_words: float
    nearest: float


@dataclass(frozen=True, slots=True)
class Measured:
    """Shares met with silence, by threshold: `right` of questions that the documents do not answer, `false` of the others."""

    questions: str
    right: Mapping[str, float]
    false: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class AnswersPolicy:
    """The file as a whole: what counts, and what it was measured to come to."""

    silence: Silence
    measured: tuple[Measured, ...]


def load_answers_policy(path: Path) -> AnswersPolicy:
    """Raises `SetupError` (`setup.answers`) for what is missing, unknown or no number."""
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise _refusal(path, f"cannot be read: {error}") from error
    silence, measured = tables.pop("silence", None), tables.pop("measured", [])
    if tables or not _has_fields(silence, Silence):
        raise _refusal(path, f"must hold a table silence with {_fields_of(Silence)}, and nothing unknown")
    for name, value in silence.items():
        if not _is_number(value, 100):
            raise _refusal(path, f"silence.{name} must be a number from 0 to 100")
    if not isinstance(measured, list) or not all(_is_measured(item) for item in measured):
        raise _refusal(
            path, f"may hold tables measured, each with {_fields_of(Measured)}: a text and shares from 0 to 1 by threshold"
        )
    values = {name: float(value) for name, value in silence.items()}
    return AnswersPolicy(Silence(**values), tuple(Measured(**item) for item in measured))


def _is_measured(item: Any) -> bool:
    if not _has_fields(item, Measured) or not isinstance(item["questions"], str):
        return False
    shares = (item["right"], item["false"])
    return all(isinstance(by, dict) and all(_is_number(share, 1) for share in by.values()) for by in shares) and (
        list(item["right"]) == list(item["false"]) and all(_is_threshold(name) for name in item["right"])
    )


def _is_threshold(name: str) -> bool:
    return re.fullmatch(r"[0-9]+\.[0-9]+", name) is not None


def _is_number(value: Any, most: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most


def _has_fields(table: Any, kind: type) -> bool:
    return isinstance(table, dict) and set(table) == {item.name for item in fields(kind)}


def _fields_of(kind: type) -> str:
    return ", ".join(sorted(item.name for item in fields(kind)))


def _refusal(path: Path, what: str) -> SetupError:
    return SetupError(f"The policy for answers {path} {what}; without it no question is answered.", code="setup.answers")
