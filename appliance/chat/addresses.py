"""Links and addresses in a text, as somebody could follow them: of the web, of mail, of machines. Pure.

Found are also those that a person would understand and a browser would not (`hxxps`, `[.]`): an answer must not hold one that
its sources do not. What merely looks like one, as two words with a stop and no space between them, counts too: it is left out
of an answer unless the source has it, which costs little.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from appliance.chat.prompt import visible

_LONGEST = 2_000
_OBSCURED = re.compile(r"[\[({]\s*(?:\.|dot|punkt|punto|point)\s*[\])}]", re.IGNORECASE)
_OTHER_STOPS = re.compile(r"(?<=[a-z0-9])[\u3002\uff61\u2024\uff0e](?=[a-z0-9])", re.IGNORECASE)
_LABEL = r"[^\W_](?:[\w-]{0,61}[^\W_])?"
_ADDRESS = re.compile(
    r"(?:[a-z][a-z0-9+.-]{1,20}):(?:/|\\)+\S+"
    r"|\b(?:mailto|javascript|vbscript|data|tel|sms|file|blob|intent|magnet|ipfs):\S+"
    r"|[^\s@<>()\[\]\"'`|]{1,64}@[^\s@<>()\[\]\"'`|]+"
    rf"|(?<![\w.-])(?:{_LABEL}\.)+(?:xn--[a-z0-9-]+|[^\W\d_]{{2,24}})(?![\w-])(?:[:/?\#\\]\S*)?"
    r"|(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.]*\d)(?:[:/?\#]\S*)?"
    r"|\[[0-9a-f]*:[0-9a-f:.]+\](?:[:/?\#]\S*)?"
    r"|\blocalhost\b(?:[:/?\#]\S*)?"
    r"|(?<![:\w])(?://|\\\\)[\w.-]+(?:[/\\?\#]\S*)?",
    re.IGNORECASE,
)
_SCHEME = re.compile(r"^(?:h(?:tt|xx)ps?:)?[/\\]{2,}(?:www\.)?|^mailto:|^www\.", re.IGNORECASE)
_HOST_END = re.compile(r"[/?#\\]")
_ENDS = ".,;:!?)]}>\"'`*_~|/\u201d\u2019»…"


def addresses(text: str) -> frozenset[str]:
    """Those in the text, each in the one form in which they are compared: no scheme of the web, no mark that ends a sentence."""
    return frozenset(_addresses(text))


def known_addresses(text: str) -> frozenset[str]:
    """What an answer from this text may hold: its addresses, their hosts alone, and those that a line's end divided."""
    found = addresses(text) | addresses(re.sub(r"\s*\n\s*", "", text))
    return found | {_HOST_END.split(address, maxsplit=1)[0] for address in found if ":" not in address}


def _addresses(text: str) -> Iterator[str]:
    for word in _plain(text).split():
        if len(word) > _LONGEST:
            yield word
            continue
        for match in _ADDRESS.finditer(word):
            address = _SCHEME.sub("", match.group()).rstrip(_ENDS)
            if address:
                yield address


def _plain(text: str) -> str:
    return _OTHER_STOPS.sub(".", _OBSCURED.sub(".", visible(text))).casefold()
