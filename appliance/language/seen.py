"""Text as it is seen: what a reader cannot see, but a program reads, is a way past the reader, in both directions."""

from __future__ import annotations

import re

# controls, halves of characters, and what nobody sees but a program reads: directions, zero widths, tags, selectors of variants
_UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufff9-\ufffb\ufffe\uffff"
    "\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0e"
    "\ufeff\uffa0\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff\U000f0000-\U0010ffff]"
)
# joiners change the shape of letters in many scripts, and of emoji; alone between two such signs they carry no message
_JOINERS = re.compile("(?<![^\x00-\x7f])[\u200c\u200d]+|[\u200c\u200d]{2,}|[\u200c\u200d](?![^\x00-\x7f])")


def seen(text: str) -> str:
    """The text without what a reader cannot see."""
    return _JOINERS.sub("", _UNSEEN.sub("", text))


def one_line(text: str) -> str:
    """A title or a label: seen characters, single spaces."""
    return " ".join(seen(text).split())
