"""What an export needs so that it can be checked without the box: which leaves beside the matching ones, and which hashes."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from appliance.audit.blocks import StoredTree
from appliance.audit.bundle import Since, Stretch, as_text
from appliance.audit.classes import classify
from appliance.audit.events import EventName
from appliance.audit.store import AuditFilter, matching_seqs
from appliance.audit.tree import consistency_proof, cover
from appliance.storage.tables import audit_events


@dataclass(frozen=True, slots=True)
class Evidence:
    """`seqs` are the leaves to be written, ascending; `matching` those of them that were asked for."""

    seqs: list[int]
    matching: frozenset[int]
    stretch: Stretch | None
    hashes: list[str]
    since: Since | None


def gather(
    connection: Connection, wanted: AuditFilter | None, *, size: int, export_seq: int, since: int | None, whole: bool
) -> Evidence:
    """For a log of `size` leaves, the last of which counts them. `whole` takes in what shows that nothing was left out.

    Without a filter nothing matches: then it is a checkpoint and little else.
    """
    stretch = None if wanted is None else choose_stretch(connection, wanted, size=size, whole=whole)
    matching = frozenset() if wanted is None else frozenset(matching_seqs(connection, wanted))
    seqs = sorted(matching | {export_seq, size} | set(_seqs_of(connection, stretch, size)))
    tree = StoredTree(connection)
    hashes = as_text(cover(size, [seq - 1 for seq in seqs], tree.perfect))
    proof = None if since is None else Since(since, as_text(consistency_proof(since, size, tree.perfect)))
    return Evidence(seqs, matching, stretch, hashes, proof)


def class_of(wanted: AuditFilter) -> int | None:
    """The class all matching leaves are of, where the filter alone says so; a refusal can be of any."""
    if wanted.event in {None, EventName.ACCESS_DENIED}:
        return None
    return classify(EventName(str(wanted.event))).class_uid


def needs_stretch(wanted: AuditFilter) -> bool:
    """Whether completeness costs little enough to be shown always: by event, or where nothing but time narrows."""
    narrowed = wanted.event or wanted.outcome or wanted.pseudonym or wanted.resource
    return class_of(wanted) is not None or not narrowed


def choose_stretch(connection: Connection, wanted: AuditFilter, *, size: int, whole: bool) -> Stretch | None:
    """As far as the filter's times reach, and one leaf beyond at either end, whose time shows that it does."""
    if not whole and not needs_stretch(wanted):
        return None
    class_uid, of = class_of(wanted), audit_events.c
    number = of.seq if class_uid is None else of.class_seq
    within = [of.seq <= size] if class_uid is None else [of.seq <= size, of.class_uid == class_uid]
    first, last = 1, connection.execute(select(func.max(number)).where(*within)).scalar() or 0
    if wanted.until_ms is not None:
        before = connection.execute(select(func.max(number)).where(*within, of.time_ms < wanted.until_ms)).scalar()
        last = min(last, (before or 0) + 1)
    if wanted.since_ms is not None:
        after = connection.execute(select(func.min(number)).where(*within, of.time_ms >= wanted.since_ms)).scalar()
        first = max(1, (after or last + 1) - 1)
    return Stretch(class_uid, min(first, last) or 1, last)


def _seqs_of(connection: Connection, stretch: Stretch | None, size: int) -> list[int]:
    if stretch is None:
        return []
    if stretch.class_uid is None:
        return list(range(stretch.first, stretch.last + 1))
    of = audit_events.c
    within = (of.class_uid == stretch.class_uid, of.class_seq.between(stretch.first, stretch.last), of.seq <= size)
    return list(connection.execute(select(of.seq).where(*within)).scalars())
