from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.documents.chunking import chunk, searchable_text
from appliance.documents.models import Heading, Page, ParsedDocument


class Words:
    """An embedder's tokens as words and single marks; CJK letters count one by one."""

    def __init__(self, max_tokens: int = 64) -> None:
        self.max_tokens = max_tokens

    def token_spans(self, text: str) -> list[tuple[int, int]]:
        return [found.span() for found in re.finditer(r"[a-zA-Z0-9]+|[^\s]", text)]

    def count_tokens(self, text: str) -> int:
        return len(self.token_spans(text))


def parsed(*texts: str, headings: tuple[tuple[int, int, int], ...] = (), labels: tuple[str, ...] = ()) -> ParsedDocument:
    pages, start = [], 0
    for number, text in enumerate(texts, start=1):
        pages.append(Page(number, start, text, labels[number - 1] if labels else ""))
        start += len(text) + 2
    return ParsedDocument(tuple(pages), tuple(Heading(*heading) for heading in headings))


def whole(document: ParsedDocument) -> str:
    return "\n\n".join(page.text for page in document.pages)


LETTERS = st.sampled_from([*"abc .!?,\n\t\u00a0\u00ad-1。、中文يו", "\n\n", ". ", "Dr. ", "word "])
PAGES = st.lists(st.lists(LETTERS, max_size=120).map("".join), min_size=1, max_size=4)


@given(pages=PAGES, target=st.integers(1, 40), limit=st.integers(12, 48), cuts=st.lists(st.integers(0, 400), max_size=6))
@settings(max_examples=300, deadline=None)
def test_passages_cover_the_text_in_order_within_the_limit(pages, target, limit, cuts):
    document = parsed(*pages)
    text = whole(document)
    spots = sorted({cut for cut in cuts if cut + 1 < len(text) and text[cut : cut + 1].strip()})
    inside = [spot for spot in spots if any(page.start <= spot < page.start + len(page.text) for page in document.pages)]
    document = ParsedDocument(document.pages, tuple(Heading(1, spot, spot + 1) for spot in inside))
    tokens = Words(limit)
    chunks = chunk(document, tokens, target)
    position = 0
    for ordinal, passage in enumerate(chunks):
        assert passage.ordinal == ordinal
        assert passage.text == text[passage.start : passage.end]
        assert passage.text == passage.text.strip() != ""
        assert not text[position : passage.start].strip()
        assert passage.token_count == tokens.count_tokens(passage.text) <= limit
        page = document.pages[passage.page - 1]
        assert page.start <= passage.start < passage.end <= page.start + len(page.text)
        position = passage.end
    assert not text[position:].strip()


def test_a_sentence_is_not_cut_where_it_fits():
    sentences = [f"Sentence number {number} says a few words." for number in range(40)]
    chunks = chunk(parsed(" ".join(sentences)), Words(), 30)
    assert len(chunks) > 5
    assert all(passage.text.startswith("Sentence") and passage.text.endswith("words.") for passage in chunks)
    assert all(passage.token_count <= 30 for passage in chunks)


def test_a_sentence_longer_than_the_limit_is_cut_at_a_clause():
    text = "alpha beta gamma delta, " * 40
    chunks = chunk(parsed(text), Words(32), 20)
    assert all(passage.text.endswith(("delta,", "delta")) for passage in chunks)


def test_a_word_longer_than_the_limit_is_cut_all_the_same():
    class Letters(Words):
        def token_spans(self, text):
            return [(at, at + 1) for at, mark in enumerate(text) if not mark.isspace()]

    chunks = chunk(parsed("x" * 500), Letters(32), 20)
    assert "".join(passage.text for passage in chunks) == "x" * 500


def test_passages_carry_the_path_of_headings_above_them():
    text = "Book\n\nChapter one\n\nFirst body.\n\nPart\n\nSecond body.\n\nChapter two\n\nThird body."
    at = {title: (text.index(title), text.index(title) + len(title)) for title in ("Book", "Chapter one", "Part", "Chapter two")}
    headings = tuple((level, *at[title]) for level, title in ((1, "Book"), (2, "Chapter one"), (3, "Part"), (2, "Chapter two")))
    chunks = chunk(parsed(text, headings=headings), Words(), 60)
    assert [(passage.heading, passage.text.split("\n")[-1]) for passage in chunks] == [
        ("Book > Chapter one", "First body."),
        ("Book > Chapter one > Part", "Second body."),
        ("Book > Chapter two", "Third body."),
    ]


def test_headings_go_on_over_pages_without_labels_and_not_into_labelled_ones():
    text = ("Title\n\nBody of page one.", "Body of page two.")
    plain = chunk(parsed(*text, headings=((1, 0, 5),)), Words(), 40)
    labelled = chunk(parsed(*text, headings=((1, 0, 5),), labels=("Slide 1", "Slide 2")), Words(), 40)
    assert [passage.heading for passage in plain] == ["Title", "Title"]
    assert [passage.heading for passage in labelled] == ["Title", "Slide 2"]


def test_a_scrap_joins_the_passage_before_it():
    sentence = "one two three four five six seven eight nine."
    chunks = chunk(parsed(" ".join([sentence] * 2) + " End."), Words(64), 20)
    assert len(chunks) == 1


def test_blank_pages_give_no_passages():
    assert chunk(parsed("", " \n ", "Text."), Words(), 40)[0].page == 3


@pytest.mark.parametrize("target", [1, 1_000_000])
def test_an_impossible_target_is_brought_within_the_embedders_limits(target):
    chunks = chunk(parsed("Word after word. " * 200), Words(32), target)
    assert all(passage.token_count <= 32 for passage in chunks)


def test_soft_hyphens_are_not_searched():
    assert searchable_text("exam\u00adple") == "example"


def test_a_passage_that_must_be_halved_is_cut_between_words():
    class Closer(Words):
        def count_tokens(self, text: str) -> int:
            return super().count_tokens(text) + 2

    words = [f"word{number}" for number in range(24)]
    passages = chunk(parsed(" ".join(words)), Closer(12), 12)
    assert [word for passage in passages for word in passage.text.split()] == words
