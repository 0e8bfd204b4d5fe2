"""Why somebody did what others may have to answer for. Kept sealed in the log, so it must be there and must fit."""

from __future__ import annotations

from appliance.errors import InvalidInput

_LONGEST = 1_000


def checked_reason(reason: str) -> str:
    """Without the space around it. Raises `InvalidInput` (`reason.length`, `reason.text`)."""
    words = reason.strip()
    if not 1 <= len(words) <= _LONGEST:
        raise InvalidInput(f"Give a reason of at most {_LONGEST} characters.", code="reason.length")
    if not _readable(words):
        raise InvalidInput("Give a reason in words: it needs letters or digits, and nothing but text.", code="reason.text")
    return words


def _readable(words: str) -> bool:
    """Whether it is text, which what a shell hands over may not be, and says anything: spaces of no width say nothing."""
    try:
        words.encode()
    except UnicodeEncodeError:
        return False
    return any(each.isalnum() for each in words)
