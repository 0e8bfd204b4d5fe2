"""The embedding models of one process: the one that the index was made with and, while it is replaced, the one to come."""

from __future__ import annotations

import threading
from collections.abc import Callable

from appliance.inference.runtime import TextEmbedder


class Embedders:
    """Loads each model when it is first asked for. Threads may share it; who holds an embedder may use it to the end."""

    def __init__(self, load: Callable[[str], TextEmbedder], serving: Callable[[], str]) -> None:
        """`load` opens a version by its id; `serving` is the id of the index's model, as it is now."""
        self._load = load
        self._serving = serving
        self._loaded: dict[str, TextEmbedder] = {}
        self._coming: str | None = None
        self._lock = threading.Lock()

    def serving(self) -> TextEmbedder:
        """The embedder whose vectors the index holds at this moment. Raises as `load` does."""
        wanted = self._serving()
        with self._lock:
            embedder = self._get(wanted)
            self._loaded = {name: kept for name, kept in self._loaded.items() if name in {wanted, self._coming}}
            return embedder

    def coming(self, model_id: str) -> TextEmbedder:
        """The embedder of an index that is being made. Raises as `load` does."""
        with self._lock:
            self._coming = model_id
            return self._get(model_id)

    def release(self) -> None:
        """No index is being made any longer."""
        with self._lock:
            self._coming = None

    def _get(self, model_id: str) -> TextEmbedder:
        if model_id not in self._loaded:
            self._loaded[model_id] = self._load(model_id)
        return self._loaded[model_id]
