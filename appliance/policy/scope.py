"""The set of collections within which an action is allowed: the same rules as a decision, as a filter for many."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Scope:
    """Collections by id (for tables) and by number (for the search index). The empty scope lets nothing through."""

    collection_ids: frozenset[str] = field(default_factory=frozenset)
    numbers: frozenset[int] = field(default_factory=frozenset)

    def __bool__(self) -> bool:
        return bool(self.collection_ids)


NOTHING = Scope()
