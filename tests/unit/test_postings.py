from __future__ import annotations

import numpy as np

from appliance.retrieval.postings import PostingCache, entries_of


def key(term: str, generation: int = 1):
    return (1, generation, term)


def test_a_changed_collection_is_another_key():
    cache = PostingCache()
    cache.put(key("ferry", 1), np.arange(3))
    assert cache.get([key("ferry", 2)]) == {}
    assert list(cache.get([key("ferry", 1), key("boat", 1)])) == [key("ferry", 1)]


def test_the_lists_used_last_stay():
    cache = PostingCache(limit_bytes=3 * 80)
    for term in ("one", "two", "three"):
        cache.put(key(term), np.arange(10, dtype=np.int64))
    cache.get([key("one")])
    cache.put(key("four"), np.arange(10, dtype=np.int64))
    held = cache.get([key(term) for term in ("one", "two", "three", "four")])
    assert [term for _, _, term in held] == ["one", "three", "four"]


def test_a_list_larger_than_the_room_is_not_kept():
    cache = PostingCache(limit_bytes=8)
    cache.put(key("the"), np.arange(10, dtype=np.int64))
    assert cache.get([key("the")]) == {}


def test_entries_take_as_little_room_as_they_can():
    assert entries_of("4,9,70000").tolist() == [4, 9, 70_000]
    assert entries_of("4,9,70000").dtype == np.uint32
    assert entries_of(f"4,{2**40}").tolist() == [4, 2**40]
    assert entries_of("").size == 0
