"""Posting lists: as the full-text index gives them, and the long ones stored in one piece.

FTS5 gives a list row by row, 0.1 microseconds and more for each, behind three pages to decrypt. A stored list is the gaps
between its entries, a byte or two for each, on a page that it shares with the same term's lists of other collections. They
are made about every hour for collections that have changed. A list is true of one generation of its collection: whatever is
added or removed later makes it useless, never wrong, and FTS5 is asked, as it is for all short lists.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

import numpy as np
from sqlalchemy import Connection

from appliance.retrieval.hidden import Range, visible
from appliance.retrieval.impacts import token
from appliance.retrieval.postings import STEP_BITS, Entries, Key, entries_of
from appliance.storage.database import Database

LONG = 16
"""Entries from which a list is stored: of 100,000 passages less than half of the lists, with nine tenths of all entries."""

PAUSE_S = 0.02
"""Between two transactions: writers of other processes get their turn."""

_AT_ONCE = 2_000
_WIDTHS = {width: np.dtype(f"<u{width}") for width in (1, 2, 4, 8)}
_NARROW = np.iinfo(np.uint32).max
_REMOVED_AT_ONCE = 10_000  # a fifth of a second; collections of up to 20,000 passages have fewer


def read_postings(connection: Connection, keys: Sequence[Key], hidden: Sequence[Range]) -> list[Entries]:
    """The lists of these keys from the full-text index, without what is hidden, in one statement."""
    rows = connection.exec_driver_sql(
        # a subquery per row: grouping would sort every posting first
        "SELECT (SELECT group_concat(rowid) FROM search_words WHERE search_words MATCH wanted.value) "
        "FROM json_each(?) AS wanted ORDER BY wanted.key",
        (json.dumps([f'"{token(number, term)}"' for number, _, term in keys]),),
    )
    lists = [entries_of(listed or "") for (listed,) in rows]
    return [entries[visible(entries >> STEP_BITS, hidden)] for entries in lists] if hidden else lists


def stored_postings(connection: Connection, keys: Sequence[Key]) -> dict[Key, Entries]:
    """Those of the lists that are stored."""
    terms, numbers = {term for _, _, term in keys}, {number for number, _, _ in keys}
    rows = connection.exec_driver_sql(
        "SELECT collection_number, generation, term, first, width, gaps FROM search_postings "
        "WHERE term IN (SELECT value FROM json_each(?)) AND collection_number IN (SELECT value FROM json_each(?))",
        (json.dumps(list(terms)), json.dumps(list(numbers))),
    ).fetchall()
    found = {(row[0], row[1], row[2]): row for row in rows}
    return {key: _entries(*found[key][3:]) for key in keys if key in found}


def forget_postings(connection: Connection, collection_number: int) -> bool:
    """Remove stored lists of a collection, which name its passages; whether there may be more, left to `sweep_postings`."""
    return _removed(connection, "collection_number = ?", collection_number)


def sweep_postings(database: Database) -> None:
    """Remove the lists that nobody reads any more, since their collection has changed."""
    outlived = (
        "generation IS NOT (SELECT generation FROM search_collections "
        "WHERE search_collections.collection_number = stored.collection_number)"
    )
    with database.read() as connection:
        more = connection.exec_driver_sql(f"SELECT EXISTS (SELECT 1 FROM search_postings AS stored WHERE {outlived})").scalar()
    while more:
        with database.write() as connection:
            more = _removed(connection, outlived)
        time.sleep(PAUSE_S)


def _removed(connection: Connection, condition: str, *values: int) -> bool:
    """Whether there may be more than one transaction removes."""
    removed = connection.exec_driver_sql(
        "DELETE FROM search_postings WHERE (term, collection_number) IN "
        f"(SELECT term, collection_number FROM search_postings AS stored WHERE {condition} LIMIT {_REMOVED_AT_ONCE})",
        values,
    )
    return removed.rowcount == _REMOVED_AT_ONCE


def store_postings(database: Database) -> int:
    """Store the long lists of each collection whose lists are not those of now; how many were stored.

    In short transactions. A collection that changes meanwhile is left for the next time.
    """
    with database.read() as connection:
        numbers = connection.exec_driver_sql(
            "SELECT collection_number FROM search_collections WHERE stored_generation IS NOT generation"
        )
        changed = numbers.scalars().all()
    sweep_postings(database)
    return sum(_store_of(database, number) for number in changed)


def _store_of(database: Database, number: int) -> int:
    with database.read() as connection:
        generation = _generation(connection, number)
        if generation is None:
            return 0
        prefix = token(number, "")
        found = connection.exec_driver_sql(
            "SELECT term FROM search_terms WHERE term >= ? AND term < ? AND doc >= ?", (prefix, token(number, "\U0010ffff"), LONG)
        )
        terms = [term.removeprefix(prefix) for term in found.scalars()]
    for first in range(0, len(terms), _AT_ONCE):
        keys = [(number, generation, term) for term in terms[first : first + _AT_ONCE]]
        if not _store(database, keys):
            return first
        time.sleep(PAUSE_S)
    with database.write() as connection:
        connection.exec_driver_sql(
            "UPDATE search_collections SET stored_generation = generation WHERE collection_number = ? AND generation = ?",
            (number, generation),
        )
    return len(terms)


def _store(database: Database, keys: Sequence[Key]) -> bool:
    """Read lists and store them; False where their collection is no longer of their generation."""
    number, generation, _ = keys[0]
    with database.read() as connection:
        hidden = connection.exec_driver_sql(
            "SELECT first, last FROM search_hidden WHERE collection_number = ?", (number,)
        ).fetchall()
        lists = read_postings(connection, keys, [tuple(part) for part in hidden])
        if _generation(connection, number) != generation:
            return False
    rows = [
        (term, number, generation, *_packed(entries))
        for (_, _, term), entries in zip(keys, lists, strict=True)
        if entries.size >= LONG
    ]
    with database.write() as connection:
        if _generation(connection, number) != generation:
            return False
        if rows:
            connection.exec_driver_sql("INSERT OR REPLACE INTO search_postings VALUES (?, ?, ?, ?, ?, ?)", rows)
    return True


def _packed(entries: Entries) -> tuple[int, int, bytes]:
    """The first entry, and the gaps to each of the others in so many bytes each."""
    gaps = np.diff(entries)
    narrow = gaps.astype(np.min_scalar_type(gaps.max()))
    return int(entries[0]), narrow.itemsize, narrow.astype(narrow.dtype.newbyteorder("<")).tobytes()


def _entries(first: int, width: int, gaps: bytes) -> Entries:
    """What was packed."""
    steps = np.frombuffer(gaps, _WIDTHS[width])
    entries = np.empty(steps.size + 1, np.uint64)
    entries[0] = 0
    np.cumsum(steps, out=entries[1:])
    entries += np.uint64(first)
    return entries if entries[-1] > _NARROW else entries.astype(np.uint32)


def _generation(connection: Connection, number: int) -> int | None:
    found: int | None = connection.exec_driver_sql(
        "SELECT generation FROM search_collections WHERE collection_number = ?", (number,)
    ).scalar()
    return found
