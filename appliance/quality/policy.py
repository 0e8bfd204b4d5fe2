"""What `policies/drift.toml` says: how far which figure may move. Refused as a whole where anything is not understood."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from appliance.errors import SetupError
from appliance.quality.models import Measure


@dataclass(frozen=True, slots=True)
class Threshold:
    """How far the last day may lie above and below the days before, and of how many either must be made to count.

    Shares move by a difference (0.15 is 15 points), the others by a part of what they were (0.5 is half as much again). None
    is any distance.
    """

    least: int
    rises: float | None = None
    falls: float | None = None


DriftPolicy: TypeAlias = Mapping[Measure, Threshold]
"""What is not in it is not watched."""


def load_drift(path: Path) -> DriftPolicy:
    """Raises `SetupError` (`setup.drift`)."""
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise _refusal(path, f"cannot be read: {error}") from error
    unknown = sorted(set(tables) - {str(measure) for measure in Measure})
    if unknown:
        raise _refusal(path, f"speaks of {unknown[0]}, which is not measured")
    return {Measure(name): _threshold(path, name, table) for name, table in tables.items()}


def _threshold(path: Path, name: str, table: Any) -> Threshold:
    if not isinstance(table, dict) or not {"least"} < set(table) <= {"least", "rises", "falls"}:
        raise _refusal(path, f"must hold in [{name}] least and rises, falls or both")
    least = table["least"]
    if isinstance(least, bool) or not isinstance(least, int) or least < 1:
        raise _refusal(path, f"must hold a whole number from 1 as {name}.least")
    for side in set(table) - {"least"}:
        value = table[side]
        # above 1 no share can rise and nothing can fall
        highest = 1 if Measure(name).is_share or side == "falls" else 100
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= highest:
            raise _refusal(path, f"must hold a number above 0 and up to {highest} as {name}.{side}")
    return Threshold(least, table.get("rises"), table.get("falls"))


def _refusal(path: Path, what: str) -> SetupError:
    return SetupError(f"The policy for drift {path} {what}; without it nobody would hear of one.", code="setup.drift")
