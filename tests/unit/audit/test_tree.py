"""Roots and proofs against a tree written as the RFC defines it, and what no proof may show."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.audit.tree import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    consistent,
    cover,
    node_hash,
    root_from_cover,
    tree_root,
)

LEAVES = [hashlib.sha256(b"\x00%d" % number).digest() for number in range(600)]


def root_of(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962, 2.1, over leaf hashes."""
    if len(leaves) < 2:
        return leaves[0] if leaves else hashlib.sha256().digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + root_of(leaves[:k]) + root_of(leaves[k:])).digest()


def perfect(level: int, number: int) -> bytes:
    return root_of(LEAVES[number << level : (number + 1) << level])


def inclusion_path(place: int, leaves: list[bytes]) -> list[tuple[bool, bytes]]:
    """PATH of RFC 6962, 2.1.1; True where the sibling stands on the left."""
    if len(leaves) == 1:
        return []
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    if place < k:
        return [*inclusion_path(place, leaves[:k]), (False, root_of(leaves[k:]))]
    return [*inclusion_path(place - k, leaves[k:]), (True, root_of(leaves[:k]))]


sizes = st.integers(1, 600)


def test_the_empty_tree_and_the_vectors_of_certificate_transparency() -> None:
    assert EMPTY_ROOT == Frontier().root() == tree_root(0, perfect) == root_of([])
    data = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
    frontier = Frontier()
    for each in data:
        frontier.append(hashlib.sha256(b"\x00" + bytes.fromhex(each)).digest())
    assert frontier.root().hex() == "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"


def test_every_small_tree_is_the_same_by_three_ways() -> None:
    frontier = Frontier()
    for size in range(1, 80):
        frontier.append(LEAVES[size - 1])
        assert frontier.root() == tree_root(size, perfect) == root_of(LEAVES[:size])


@given(size=sizes, data=st.data())
def test_one_place_is_covered_by_its_inclusion_proof(size: int, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, size - 1))
    path = inclusion_path(place, LEAVES[:size])
    left_to_right = [item for left, item in reversed(path) if left] + [item for left, item in path if not left]
    assert cover(size, [place], perfect) == left_to_right


@given(size=sizes, data=st.data())
def test_any_places_lead_to_the_root_and_no_changed_leaf_or_hash_does(size: int, data: st.DataObject) -> None:
    places = sorted(data.draw(st.sets(st.integers(0, size - 1))))
    hashes, root = cover(size, places, perfect), root_of(LEAVES[:size])
    leaves = [LEAVES[place] for place in places]
    assert root_from_cover(size, places, leaves, hashes) == root
    assert len(hashes) <= (len(places) or 1) * max(1, size.bit_length())
    for items in (leaves, hashes):
        if items:
            at = data.draw(st.integers(0, len(items) - 1))
            kept, items[at] = items[at], bytes(32)
            assert root_from_cover(size, places, leaves, hashes) != root
            items[at] = kept
    with pytest.raises(ValueError, match="more hashes"):
        root_from_cover(size, places, leaves, [*hashes, bytes(32)])
    if hashes:
        with pytest.raises(ValueError, match="missing"):
            root_from_cover(size, places, leaves, hashes[:-1])


def test_a_leaf_at_another_place_does_not_lead_to_the_root() -> None:
    hashes = cover(100, [40], perfect)
    for place in set(range(100)) - {40}:
        try:
            assert root_from_cover(100, [place], [LEAVES[40]], hashes) != root_of(LEAVES[:100])
        except ValueError:
            continue


def test_all_places_need_no_hashes() -> None:
    assert cover(600, range(600), perfect) == []


@given(old=sizes, new=sizes)
def test_a_grown_tree_is_consistent(old: int, new: int) -> None:
    old, new = sorted((old, new))
    proof = consistency_proof(old, new, perfect)
    older, newer = root_of(LEAVES[:old]), root_of(LEAVES[:new])
    assert consistent(old, older, new, newer, proof)
    assert len(proof) <= 2 * new.bit_length()
    if old < new:
        assert not consistent(old, newer, new, newer, proof)
        assert not consistent(old, older, new, older, proof)
        assert not consistent(new, newer, old, older, proof), "a tree that shrank"
        assert not consistent(old, older, new, newer, [*proof, bytes(32)])
        assert not consistent(old, older, new, newer, proof[:-1])


@given(size=st.integers(2, 600), data=st.data())
def test_a_rewritten_tree_is_not_consistent_whatever_its_owner_proves(size: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(1, size - 1))
    changed = data.draw(st.integers(0, old - 1))
    forged = [*LEAVES[:changed], bytes(32), *LEAVES[changed + 1 :]]
    proof = consistency_proof(old, size, lambda level, number: root_of(forged[number << level : (number + 1) << level]))
    assert not consistent(old, root_of(LEAVES[:old]), size, root_of(forged[:size]), proof)


def test_sizes_that_no_tree_has_are_refused() -> None:
    for old, new in ((0, 5), (-1, 5), (0, 0), (6, 5)):
        assert not consistent(old, EMPTY_ROOT, new, root_of(LEAVES[:5]), []) or old == new


def test_a_node_is_no_leaf() -> None:
    assert node_hash(LEAVES[0], LEAVES[1]) != hashlib.sha256(b"\x00" + LEAVES[0] + LEAVES[1]).digest()
