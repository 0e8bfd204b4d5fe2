"""When a set of answers counts as worse than another: `policies/evaluation.toml`, and the comparison that it decides."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from appliance.administration.golden.models import Change, Comparison, QuestionOutcome
from appliance.errors import SetupError


@dataclass(frozen=True, slots=True)
class Margin:
    """How many questions more may be answered wrongly, at least and as a share, and how long a run speaks for a version."""

    worse_questions: int
    worse_share: float
    valid_h: float

    def allowed(self, compared: int) -> int:
        """In questions, so that a small set does not fail by the one that always hangs in the balance."""
        return max(self.worse_questions, int(self.worse_share * compared))


def load_margin(path: Path) -> Margin:
    """The table `regression` of the file. Raises `SetupError` (`setup.evaluation`) for what is missing, unknown or no number."""
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise _refusal(path, f"cannot be read: {error}") from error
    table = tables.get("regression")
    names = {item.name for item in fields(Margin)}
    if set(tables) != {"regression"} or not isinstance(table, dict) or set(table) != names:
        raise _refusal(path, f"must hold one table, regression, with {', '.join(sorted(names))}")
    limits = {"worse_questions": 10_000, "worse_share": 1, "valid_h": 8_760}
    for name, value in table.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= limits[name]:
            raise _refusal(path, f"regression.{name} must be a number from 0 to {limits[name]}")
    if not isinstance(table["worse_questions"], int):
        raise _refusal(path, "regression.worse_questions must be a whole number")
    return Margin(table["worse_questions"], float(table["worse_share"]), float(table["valid_h"]))


def compare_runs(before: Sequence[QuestionOutcome], now: Sequence[QuestionOutcome], margin: Margin) -> Comparison:
    """By question, those alone that both runs asked in the same words and with the same expectation."""
    known = {item.question_id: item for item in before}
    pairs = [
        (known[item.question_id], item)
        for item in now
        if item.question_id in known and known[item.question_id].question_sha256 == item.question_sha256
    ]
    changes = [Change(item.question_id, item.text, was.right) for was, item in pairs if was.right != item.right]
    return Comparison(
        len(pairs),
        tuple(change for change in changes if change.got_worse),
        tuple(change for change in changes if not change.got_worse),
        margin.allowed(len(pairs)),
    )


def _refusal(path: Path, what: str) -> SetupError:
    return SetupError(f"The policy for evaluation {path} {what}.", code="setup.evaluation")
