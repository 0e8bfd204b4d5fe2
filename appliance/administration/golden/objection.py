"""Why golden sets keep a version from answering, in a sentence."""

from __future__ import annotations

from collections.abc import Sequence

from appliance.errors import Conflict

_NAMED = 3
_LONGEST_NAMED = 80


class GoldenObjection(Conflict):
    """Raised when golden sets speak against a version, or do not speak for it yet."""

    code = "golden.objection"


def named(texts: Sequence[str], number: int) -> str:
    """The end of a sentence that names the first of `number` questions, those that whoever asks may see."""
    if not texts:
        return "."
    more = number - min(len(texts), _NAMED)
    told = "; ".join(f"“{_shortened(text)}”" for text in texts[:_NAMED])
    return f": {told}{f' and {more} more' if more else ''}."


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_NAMED else f"{text[: _LONGEST_NAMED - 1]}…"
