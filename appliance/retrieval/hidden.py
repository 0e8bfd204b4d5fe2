"""Passages that no search may find: those of a document that is not stored or not removed in full yet.

The passages of a document have numbers in a row, so a range says which. It is heeded only where something is read into memory:
what is held there is held by generation, and whatever is hidden or shown makes a new one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Range: TypeAlias = Sequence[int]
"""First and last chunk id."""


def visible(ids: NDArray[np.integer[Any]], hidden: Sequence[Range]) -> NDArray[np.bool_]:
    """Which of `ids` lie in none of the hidden ranges."""
    kept = np.ones(ids.size, np.bool_)
    for first, last in hidden:
        kept &= (ids < first) | (ids > last)
    return kept
