"""Exports for people and their programs: CSV for spreadsheets, JSON lines. Pure."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import NamedTuple

from appliance.audit.log import utc_text
from appliance.audit.store import AuditRecord

_COLUMNS = (
    "seq",
    "time",
    "event",
    "actor_pseudonym",
    "actor_name",
    "on_behalf_of",
    "outcome",
    "decision",
    "class_uid",
    "activity_id",
    "resources",
    "facts",
    "correlation_id",
    "leaf_hash",
)
# a cell that begins with one of these is a formula to a spreadsheet
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


class Table(NamedTuple):
    """How records become lines, and what stands before the first."""

    render: Callable[[Sequence[AuditRecord]], bytes]
    opening: bytes


def _csv(records: Sequence[AuditRecord]) -> bytes:
    return b"".join(csv_line([str(cell) for cell in _cells(record)]) for record in records)


def csv_line(cells: Sequence[str]) -> bytes:
    line = io.StringIO()
    csv.writer(line).writerow([f"'{cell}" if cell.startswith(_FORMULA_STARTS) else cell for cell in cells])
    return line.getvalue().encode()


def _cells(record: AuditRecord) -> tuple[str | int, ...]:
    return (
        record.seq,
        utc_text(record.time_ms),
        record.event,
        record.actor_pseudonym,
        record.actor_name or "",
        record.on_behalf_of or "",
        record.outcome,
        record.decision,
        record.class_uid,
        record.activity_id,
        " ".join(f"{ref.kind}/{ref.id}" for ref in record.resources),
        json.dumps(record.facts, ensure_ascii=False, sort_keys=True) if record.facts else "",
        record.correlation_id,
        record.leaf_hash.hex(),
    )


def _jsonl(records: Sequence[AuditRecord]) -> bytes:
    """One object a line; `body` is the canonical leaf as a string, so that its very bytes can be hashed again."""
    lines = (
        json.dumps(
            {
                "seq": record.seq,
                "time": utc_text(record.time_ms),
                "event": record.event,
                "actor_name": record.actor_name,
                "leaf_hash": record.leaf_hash.hex(),
                "body": record.body.decode(),
            },
            ensure_ascii=False,
        )
        for record in records
    )
    return "".join(f"{line}\n" for line in lines).encode()


TABLES = MappingProxyType({"csv": Table(_csv, csv_line(_COLUMNS)), "jsonl": Table(_jsonl, b"")})
