"""A document's text into passages: whole sentences, under one heading, on one page, of about the wanted size.

Pure. Sizes are tokens of the embedder. Passages do not overlap and together hold every character that is not white space.
"""

# ruff: noqa: RUF001 - the marks of other scripts look like ours

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from appliance.documents.models import Chunk, Heading, Page, ParsedDocument
from appliance.documents.sentences import sentence_spans

_SMALLEST_SHARE = 0.2
"""A passage below this share of the target joins its neighbour, if the section and the limit allow."""

Span = tuple[int, int]


class Tokens(Protocol):
    """What chunking needs of an embedder."""

    @property
    def max_tokens(self) -> int:
        """Longest text that is embedded whole."""

    def count_tokens(self, text: str) -> int:
        """Exact length of `text`."""

    def token_spans(self, text: str) -> list[Span]:
        """Where each token stands in `text`."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """A run of text that is kept together: offsets in the page, tokens."""

    start: int
    end: int
    tokens: int


def chunk(
    parsed: ParsedDocument,
    tokens: Tokens,
    target_tokens: int,
    on_page: Callable[[int, int], None] = lambda _number, _total: None,
) -> list[Chunk]:
    """The passages of a document in order. `on_page` hears of each page before it is divided; what it raises ends the work."""
    limit = tokens.max_tokens
    target = max(8, min(target_tokens, limit))
    chunks: list[Chunk] = []
    path: list[tuple[int, str]] = []
    for page, headings in _with_headings(parsed):
        on_page(page.number, len(parsed.pages))
        if page.label:
            path = []
        measure = _measure(tokens.token_spans(page.text))
        for section, titles in _sections(page, headings):
            path = _descend(path, titles)
            shown = " > ".join(title for _, title in path) or page.label
            for piece in _settle(_pack(_sentences(page.text, section, measure, target), target), target, limit):
                for start, end, count in _fitting(page.text, piece, tokens):
                    text = page.text[start:end]
                    chunks.append(Chunk(len(chunks), page.number, page.start + start, page.start + end, shown, text, count))
    return chunks


def searchable_text(text: str) -> str:
    """What embedder and index see of a passage: words that a line end had divided are whole again."""
    return text.replace("\u00ad", "")


def _with_headings(parsed: ParsedDocument) -> Iterator[tuple[Page, list[Heading]]]:
    starts = [heading.start for heading in parsed.headings]
    for page in parsed.pages:
        first, last = bisect_left(starts, page.start), bisect_left(starts, page.start + len(page.text))
        yield page, list(parsed.headings[first:last])


def _sections(page: Page, headings: Sequence[Heading]) -> Iterator[tuple[Span, list[tuple[int, str]]]]:
    """Parts of the page that begin at headings; headings with nothing between them open one section together."""
    text = page.text
    marks = [0, *(heading.start - page.start for heading in headings), len(text)]
    titled: list[tuple[int, str]] = []
    begin = 0
    for position, heading in enumerate([None, *headings]):
        start, end = marks[position], marks[position + 1]
        body = start
        if heading is not None:
            body = heading.end - page.start
            titled.append((heading.level, " ".join(text[start:body].replace("\u00ad", "").split())))
        if text[body:end].strip() or position == len(headings):
            if text[begin:end].strip():
                yield (begin, end), titled
            titled = []
            begin = end


def _descend(path: list[tuple[int, str]], titles: Sequence[tuple[int, str]]) -> list[tuple[int, str]]:
    for level, title in titles:
        path = [(above, name) for above, name in path if above < level]
        path.append((level, title))
    return path


def _measure(spans: Sequence[Span]) -> Callable[[int, int], list[Span]]:
    """The tokens within a span of the page, found by bisection: the page is tokenised once."""
    starts = [start for start, _ in spans]
    return lambda start, end: list(spans[bisect_left(starts, start) : bisect_left(starts, end)])


def _sentences(text: str, section: Span, measure: Callable[[int, int], list[Span]], target: int) -> Iterator[_Piece]:
    for start, end in sentence_spans(text, *section):
        inside = measure(start, end)
        if len(inside) <= target:
            yield _Piece(start, end, len(inside))
        else:
            yield from _divide(text, start, end, inside, target)


def _divide(text: str, start: int, end: int, inside: Sequence[Span], target: int) -> Iterator[_Piece]:
    """A sentence longer than a passage: cut at the last line end, else clause, else space, else token that fits."""
    first = 0
    while len(inside) - first > target:
        cut_before = first + target
        latest = inside[cut_before][0]
        earliest = inside[first + max(1, target // 3)][0]
        cut = _cut(text, earliest, latest)
        following = first
        while following < len(inside) and inside[following][0] < cut:
            following += 1
        yield _Piece(start, cut, following - first)
        start, first = cut, following
    yield _Piece(start, end, len(inside) - first)


def _cut(text: str, earliest: int, latest: int) -> int:
    line = text.rfind("\n", earliest, latest)
    if line >= 0:
        return line + 1
    clause = max(text.rfind(mark, earliest, latest) for mark in (", ", "; ", ": ", "，", "、", "；", "：", "،"))
    if clause >= 0:
        return clause + 1
    space = text.rfind(" ", earliest, latest)
    return space + 1 if space >= 0 else latest


def _pack(pieces: Iterator[_Piece], target: int) -> list[_Piece]:
    packed: list[_Piece] = []
    for piece in pieces:
        last = packed[-1] if packed else None
        if last is not None and last.tokens + piece.tokens <= target:
            packed[-1] = _Piece(last.start, piece.end, last.tokens + piece.tokens)
        else:
            packed.append(piece)
    return packed


def _settle(packed: list[_Piece], target: int, limit: int) -> list[_Piece]:
    """The last passage of a section may be a scrap: better a slightly long one before it."""
    if len(packed) > 1 and packed[-1].tokens < target * _SMALLEST_SHARE:
        before, scrap = packed[-2:]
        if before.tokens + scrap.tokens <= limit:
            packed[-2:] = [_Piece(before.start, scrap.end, before.tokens + scrap.tokens)]
    return packed


def _fitting(text: str, piece: _Piece, tokens: Tokens) -> Iterator[tuple[int, int, int]]:
    """The span without white space around it, halved until the embedder's own count, given third, says that it fits."""
    start, end = piece.start, piece.end
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    if start == end:
        return
    count = tokens.count_tokens(text[start:end])
    if end - start == 1 or count <= tokens.max_tokens:
        yield start, end, count
        return
    middle = (start + end) // 2
    middle = max(text.rfind(" ", start + 1, middle), text.rfind("\n", start + 1, middle), -1) + 1 or middle
    yield from _fitting(text, _Piece(start, middle, 0), tokens)
    yield from _fitting(text, _Piece(middle, end, 0), tokens)
