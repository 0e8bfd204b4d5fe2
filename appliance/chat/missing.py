"""What an answer says about that which the documents do not answer. The system's own words, with nothing cited. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from appliance.chat.release import MARK

NO_ANSWER = "The documents you may read do not contain the answer to this question."
STILL_READING = "Some of them are still being read: ask again in a moment."
_LONGEST = 120
"""Characters of a part that are repeated: enough to know it again."""


def nothing_found(parts: Sequence[str] = (), *, reading: bool = False) -> str:
    """Of the whole question, or of those `parts` of it that are named; `reading`: documents are still being taken in."""
    text = NO_ANSWER
    if parts:
        named = " or ".join(f"“{_shown(part)}”" for part in parts)
        text = f"The documents you may read do not contain an answer to {named}."
    return f"{text} {STILL_READING}" if reading else text


def _shown(part: str) -> str:
    # somebody's own words, but no mark: none may stand in an answer without a citation behind it
    text = " ".join(MARK.sub(" ", part).split()).rstrip("?？.,; ")  # noqa: RUF001
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST].rsplit(' ', 1)[0]} …"
