"""The Merkle tree over the leaves: hashing of RFC 6962, proofs and their checks of RFC 9162. Pure.

A place is the number of a leaf counted from 0: the record with `seq` 1 stands at place 0. Whoever proves knows the tree by a
function from (level, number) to the root of the perfect subtree over the leaves number * 2^level and following.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence

EMPTY_ROOT = hashlib.sha256(b"").digest()
HASH_BYTES = 32

Perfect = Callable[[int, int], bytes]
"""Root of the perfect subtree of that level and number; level 0 is a leaf hash."""


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """The roots of the perfect subtrees that the leaves so far fall into: all there is to know for going on."""

    def __init__(self) -> None:
        self.size = 0
        self._roots: list[bytes] = []

    def append(self, leaf: bytes) -> None:
        """One more leaf hash; one node on average."""
        rest = self.size
        while rest & 1:
            leaf = node_hash(self._roots.pop(), leaf)
            rest >>= 1
        self._roots.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        """Of the tree so far."""
        if not self._roots:
            return EMPTY_ROOT
        root = self._roots[-1]
        for left in reversed(self._roots[:-1]):
            root = node_hash(left, root)
        return root


def tree_root(size: int, perfect: Perfect) -> bytes:
    """Of the first `size` leaves."""
    return _range_root(0, size, perfect) if size else EMPTY_ROOT


def consistency_proof(old: int, new: int, perfect: Perfect) -> list[bytes]:
    """That the first `old` of `new` leaves are those of before (RFC 9162, 2.1.4.1). Needs 0 < old <= new."""
    proof: list[bytes] = []
    low, high, known = 0, new, True
    while old != high:
        middle = low + _left_size(high - low)
        if old <= middle:
            proof.append(_range_root(middle, high, perfect))
            high = middle
        else:
            proof.append(_range_root(low, middle, perfect))
            low, known = middle, False
    return ([] if known else [_range_root(low, high, perfect)]) + proof[::-1]


def consistent(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the proof shows that the newer tree begins with the older one (RFC 9162, 2.1.4.2)."""
    if not 0 < old < new:
        return old == new and old_root == new_root and not proof
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if not path:
        return False
    first, second = old - 1, new - 1
    while first & 1:
        first, second = first >> 1, second >> 1
    older = newer = path[0]
    for sibling in path[1:]:
        if not second:
            return False
        if first & 1 or first == second:
            older, newer = node_hash(sibling, older), node_hash(sibling, newer)
            while first and not first & 1:
                first, second = first >> 1, second >> 1
        else:
            newer = node_hash(newer, sibling)
        first, second = first >> 1, second >> 1
    return second == 0 and older == old_root and newer == new_root


def cover(size: int, places: Sequence[int], perfect: Perfect) -> list[bytes]:
    """The hashes that are needed beside the leaves at `places` (ascending) for computing the root, from left to right.

    For one place these are its inclusion proof, for all of them there are none, for a contiguous range a handful.
    """

    def uncovered(low: int, high: int, begin: int, end: int) -> Iterator[bytes]:
        if begin == end:
            yield _range_root(low, high, perfect)
        elif end - begin < high - low:
            middle = low + _left_size(high - low)
            between = bisect_left(places, middle, begin, end)
            yield from uncovered(low, middle, begin, between)
            yield from uncovered(middle, high, between, end)

    return list(uncovered(0, size, 0, len(places)))


def root_from_cover(size: int, places: Sequence[int], leaves: Sequence[bytes], hashes: Sequence[bytes]) -> bytes:
    """The root that `cover` and the leaf hashes at `places` (ascending, below `size`) lead to.

    Raises `ValueError` where there are too few or too many hashes.
    """
    rest = iter(hashes)

    def root(low: int, high: int, begin: int, end: int) -> bytes:
        if begin == end:
            return next(rest)
        if high - low == 1:
            return leaves[begin]
        middle = low + _left_size(high - low)
        between = bisect_left(places, middle, begin, end)
        return node_hash(root(low, middle, begin, between), root(middle, high, between, end))

    try:
        found = root(0, size, 0, len(places))
    except StopIteration:
        raise ValueError("hashes are missing") from None
    if next(rest, None) is not None:
        raise ValueError("there are more hashes than the tree has places for")
    return found


def _range_root(low: int, high: int, perfect: Perfect) -> bytes:
    """Of the leaves from `low` to before `high`, a range as the tree splits them: `low` is a multiple of its left half's size."""
    count = high - low
    if count & (count - 1) == 0:
        level = count.bit_length() - 1
        return perfect(level, low >> level)
    middle = low + _left_size(count)
    return node_hash(_range_root(low, middle, perfect), _range_root(middle, high, perfect))


def _left_size(count: int) -> int:
    """The largest power of two below `count`, which is at least 2."""
    return 1 << ((count - 1).bit_length() - 1)
