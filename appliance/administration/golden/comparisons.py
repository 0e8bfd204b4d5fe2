"""Comparisons of indexes as rows, one for an index and a set; they go with either."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import NamedTuple

from sqlalchemy import Connection

from appliance.administration.golden.places import Counts, IndexComparison, Rank
from appliance.storage.clock import now_ms


class Kept(NamedTuple):
    """A comparison with the digest of what was compared, and when."""

    digest: str
    compared_ms: int
    comparison: IndexComparison


def keep(connection: Connection, index_number: int, digest: str, comparison: IndexComparison) -> None:
    """In the place of an earlier one of the set."""
    body = asdict(comparison)
    del body["set_id"], body["reason_code"]
    connection.exec_driver_sql(
        "INSERT OR REPLACE INTO index_comparisons(index_number, set_id, digest, compared_ms, reason_code, body) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        (index_number, comparison.set_id, digest, now_ms(), comparison.reason_code, json.dumps(body, ensure_ascii=False)),
    )


def kept(connection: Connection, index_number: int) -> dict[str, Kept]:
    """By set."""
    rows = connection.exec_driver_sql(
        "SELECT set_id, digest, compared_ms, reason_code, body FROM index_comparisons WHERE index_number = ?", (index_number,)
    )
    return {row[0]: Kept(row[1], row[2], _comparison(row[0], row[3], json.loads(row[4]))) for row in rows}


def _comparison(set_id: str, reason_code: str, body: dict[str, object]) -> IndexComparison:
    # what a tuple was comes back as a list
    typed = {"first": Counts(*body["first"]), "found": Counts(*body["found"])}  # type: ignore[misc]
    moved = tuple(Rank(*place) for place in body["moved"])  # type: ignore[attr-defined]
    return IndexComparison(set_id, **body | typed | {"moved": moved, "reason_code": reason_code})  # type: ignore[arg-type]
