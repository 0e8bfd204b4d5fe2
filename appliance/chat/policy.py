"""What `policies/answers.toml` says about answers, read at start and refused as a whole where anything is not understood."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path

from appliance.errors import SetupError


@dataclass(frozen=True, slots=True)
class Silence:
    """When no answer is tried: below which score (`answerability`), and below which share of a follow-up's own words.

    `nearest` is the score that a passage needs to be offered then.
    """

    threshold: float
    own_words: float
    nearest: float


def load_silence(path: Path) -> Silence:
    """The table `silence` of the file. Raises `SetupError` (`setup.answers`) for what is missing, unknown or no number."""
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise _refusal(path, f"cannot be read: {error}") from error
    table = tables.get("silence")
    names = {item.name for item in fields(Silence)}
    if set(tables) != {"silence"} or not isinstance(table, dict) or set(table) != names:
        raise _refusal(path, f"must hold one table, silence, with {', '.join(sorted(names))}")
    for name, value in table.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
            raise _refusal(path, f"silence.{name} must be a number from 0 to 100")
    return Silence(**{name: float(value) for name, value in table.items()})


def _refusal(path: Path, what: str) -> SetupError:
    return SetupError(f"The policy for answers {path} {what}; without it no question is answered.", code="setup.answers")
