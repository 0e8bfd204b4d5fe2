"""Full stops and line ends that do not end a sentence, whatever the language. Pure."""

from __future__ import annotations

import re

_ENUMERATOR = re.compile(r"\s*[(\[]?(?:\d{1,3}(?:\.\d{1,3})*|[IVXLC]{1,5})[.)\]]*\.")
_OPEN_ADDRESS = re.compile(r"(?:://|www\.)[^\s<>]*(?:\w\.|[=&_-])$")
_REST = re.compile(r"[a-z]{2,5}\d?(?=[\s/?#,.;)>]|$)")
_ADDRESS_CHARACTERS = 200


def only_numbers(text: str, start: int, end: int) -> bool:
    """Whether what a full stop would end is nothing but the number of an entry or a section ("12.", "3.2.1.", "IV.")."""
    return _ENUMERATOR.fullmatch(text, start, end) is not None


def divides_address(text: str, start: int, end: int) -> bool:
    """Whether the white space between `start` and `end` stands within a web address, as where a page's lines are far apart."""
    if _REST.match(text, end) is None:
        return False
    return _OPEN_ADDRESS.search(text, max(0, start - _ADDRESS_CHARACTERS), start) is not None
