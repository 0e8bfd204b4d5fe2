"""Vectors as directions: only where they point says anything."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from appliance.errors import Unavailable

_SHORTEST = 1e-6


def of_length_one(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The rows, each scaled to length 1. Raises `Unavailable` (`inference.failed`) for one that points nowhere."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if vectors.size and lengths.min() < _SHORTEST:
        raise Unavailable("The embedding model gave a vector without a direction.", code="inference.failed")
    found: npt.NDArray[np.float32] = (vectors / lengths).astype(np.float32, copy=False)
    return found
