"""Each hostile file goes the whole way: through the door as an upload would, then to a real child."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from appliance.documents.media_types import HEAD_BYTES, check_upload, file_name
from appliance.documents.models import ParsedDocument
from appliance.documents.rejections import SENTENCES
from appliance.documents.sandbox import parse_in_child
from appliance.errors import DocumentRejected
from tests.security.documents.hostile_corpus import CORPUS, READ, Hostile

UNSEEN = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e0fff]")
FOREIGN = "root:"


def go(item: Hostile) -> ParsedDocument | DocumentRejected:
    content = item.make()
    try:
        media_type = check_upload(file_name(item.name), content[:HEAD_BYTES])
        return parse_in_child([content], media_type, item.limits)
    except DocumentRejected as refused:
        return refused


@pytest.fixture(scope="module")
def outcome(request: pytest.FixtureRequest) -> Callable[[Hostile], ParsedDocument | DocumentRejected]:
    """Two at a time, beginning with all that will be asked for: most of the time is spent in starting children."""
    wanted = [item.callspec.params["item"] for item in request.session.items if _of_this_file(item)]
    with ThreadPoolExecutor(2) as pool:
        running: dict[str, Future] = {_key(item): pool.submit(go, item) for item in wanted}
        yield lambda item: running[_key(item)].result()


def _of_this_file(item: pytest.Item) -> bool:
    return item.path.name == "test_hostile_corpus.py" and "item" in getattr(getattr(item, "callspec", None), "params", {})


def _key(item: Hostile) -> str:
    return f"{item.name.rpartition('.')[2].lower()}: {item.title}"


@pytest.mark.parametrize("item", CORPUS, ids=_key)
def test_a_hostile_file_ends_as_expected(item: Hostile, outcome) -> None:
    result = outcome(item)
    found = result.stable_code if isinstance(result, DocumentRejected) else READ
    assert found in item.expected.split("|")
    if isinstance(result, DocumentRejected):
        assert result.sentence == SENTENCES[found]
        return
    text = "\n".join(page.text for page in result.pages)
    assert item.shows in text
    assert FOREIGN not in text
    for written in (text, result.title, *(page.label for page in result.pages)):
        assert UNSEEN.search(written) is None


def test_the_corpus_is_large_and_every_file_in_it_is_another() -> None:
    assert len(CORPUS) >= 100
    assert len({_key(item) for item in CORPUS}) == len(CORPUS)
