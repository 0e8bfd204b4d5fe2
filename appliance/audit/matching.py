"""Whether a leaf is what a filter asks for, by the leaf alone: what a reader without the database can decide again. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from appliance.audit.canonical import indexed_resources
from appliance.audit.log import utc_text
from appliance.audit.store import AuditFilter

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def matches(leaf: dict[str, Any], wanted: AuditFilter) -> bool:
    """As the search in the database decides."""
    time_ms = leaf_time_ms(leaf)
    about = indexed_resources(leaf)
    return (
        (wanted.since_ms is None or time_ms >= wanted.since_ms)
        and (wanted.until_ms is None or time_ms < wanted.until_ms)
        and wanted.event in {None, leaf["action"]}
        and wanted.outcome in {None, leaf["status"]}
        and (wanted.through_seq is None or leaf["seq"] <= wanted.through_seq)
        and (wanted.resource is None or tuple(wanted.resource) in about)
        and (wanted.pseudonym is None or leaf["actor_pseudonym"] == wanted.pseudonym or ("person", wanted.pseudonym) in about)
    )


def leaf_time_ms(leaf: dict[str, Any]) -> int:
    """Raises `ValueError` for what is no time as the log writes it."""
    time_ms = (datetime.fromisoformat(leaf["time"]) - _EPOCH) // timedelta(milliseconds=1)
    if utc_text(time_ms) != leaf["time"]:
        raise ValueError("a time in another form")
    return time_ms
