"""Passages that no search may find: those of a document that is not stored or not removed in full yet.

The passages of a document have numbers in a row, so a range says which. It is asked only where something is read into memory:
what is held there is held by generation, and whatever is hidden or shown makes a new one.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection


def hidden_ranges(connection: Connection, numbers: Collection[int]) -> list[tuple[int, int]]:
    """First and last chunk id of what is hidden in these collections."""
    rows = connection.exec_driver_sql(
        "SELECT first, last FROM search_hidden WHERE collection_number IN (SELECT value FROM json_each(?))",
        (json.dumps(sorted(numbers)),),
    )
    return [(row[0], row[1]) for row in rows]


def visible(ids: NDArray[np.integer[Any]], ranges: Sequence[tuple[int, int]]) -> NDArray[np.bool_]:
    """Which of `ids` lie in none of the ranges."""
    kept = np.ones(ids.size, np.bool_)
    for first, last in ranges:
        kept &= (ids < first) | (ids > last)
    return kept
