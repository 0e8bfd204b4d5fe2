"""How far the collector is, as a row; what waits for it; and when to call again. A restart therefore knows what went before.

A call leaves entries in the log itself. They are no reason for another one, or a box in which nothing else happens would call for
ever because it has called: they travel with whatever is next, which is the hourly checkpoint at the latest.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from sqlalchemy import ColumnElement, Connection, Select, func, insert, select, update

from appliance.audit.events import EventName
from appliance.audit.store import last_seq
from appliance.storage.tables import audit_events, audit_resources, log_collectors

PACE_MS = 60_000
"""Between two calls where all goes well: what happens in a minute travels together."""

MOST_LEAVES = 500
"""In one call. While as many wait, the next follows at once."""

FIRST_PAUSE_MS, LONGEST_PAUSE_MS = 15_000, 300_000
REFUSED, FAILING, REFUSED_HERE = "collector.refused", "collector.failing", "egress.refused"
_FOR_PEOPLE = {REFUSED, REFUSED_HERE}
"""Faults that go by nobody's waiting; tried again after the longest pause, since whoever mends it should not have to say so."""

_OF_CALLS = [str(name) for name in (EventName.EGRESS_OPENED, EventName.EGRESS_CALLED, EventName.EGRESS_REFUSED)]


@dataclass(frozen=True, slots=True)
class Place:
    """A row of `log_collectors`; before there is one, nothing was sent."""

    address: str
    sent_seq: int = 0
    sent_ms: int | None = None
    tries: int = 0
    tried_ms: int = 0
    fault: str = ""
    status: int = 0
    failing_since_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """Entries that the collector lacks, without those that its own calls left: how many, and the time of the first."""

    count: int
    since_ms: int | None


def place_of(connection: Connection, address: str) -> Place:
    row = connection.execute(select(log_collectors).where(log_collectors.c.address == address)).mappings().one_or_none()
    return Place(address) if row is None else Place(**row)


def keep(connection: Connection, place: Place) -> None:
    """`connection` must be inside `Database.write()`."""
    values = asdict(place)
    if not connection.execute(update(log_collectors).where(log_collectors.c.address == place.address).values(values)).rowcount:
        connection.execute(insert(log_collectors), values)


def anything_waits(connection: Connection, place: Place, name: str) -> bool:
    """Whether there is something to send; looks no further than the first entry that is."""
    return connection.execute(select(audit_events.c.seq).where(*_others(place, name)).limit(1)).first() is not None


def waiting(connection: Connection, place: Place, name: str) -> Waiting:
    of = audit_events.c
    since_ms = connection.execute(select(of.time_ms).where(*_others(place, name)).order_by(of.seq).limit(1)).scalar()
    own = select(func.count()).select_from(audit_events).where(of.event.in_(_OF_CALLS), of.seq.in_(_about(place, name)))
    # the numbers have no gap, so only the entries of the calls have to be counted, which an index finds
    return Waiting(max(0, last_seq(connection) - place.sent_seq - connection.execute(own).scalar_one()), since_ms)


def is_due(place: Place, now_ms: int, *, many: bool) -> bool:
    """Pure. `many`: a full call's worth of entries waits. A clock that was turned back makes nobody wait for it."""
    if many and not place.tries:
        return True
    return not 0 <= now_ms - place.tried_ms < pause_ms(place)


def pause_ms(place: Place) -> int:
    """After the last try, which may not have ended: a process that dies in it counts as one that failed."""
    if not place.tries:
        return PACE_MS
    if place.fault in _FOR_PEOPLE:
        return LONGEST_PAUSE_MS
    return min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS << min(place.tries - 1, 10))


def begun(place: Place, now_ms: int) -> Place:
    """Before a call: a crash must not make the next process call at once."""
    return replace(place, tries=place.tries + 1, tried_ms=now_ms)


def taken(place: Place, last_seq: int, now_ms: int) -> Place:
    return Place(place.address, last_seq, now_ms, tried_ms=place.tried_ms)


def failed(place: Place, fault: str, status: int, now_ms: int) -> Place:
    since_ms = now_ms if place.failing_since_ms is None else place.failing_since_ms
    return replace(place, fault=fault, status=status, failing_since_ms=since_ms)


def _others(place: Place, name: str) -> tuple[ColumnElement[bool], ...]:
    """Of the entries to come those that are not of calls to this very destination."""
    of = audit_events.c
    return of.seq > place.sent_seq, ~(of.event.in_(_OF_CALLS) & of.seq.in_(_about(place, name)))


def _about(place: Place, name: str) -> Select[tuple[int]]:
    about = audit_resources.c
    return select(about.seq).where(about.kind == "destination", about.resource_id == name, about.seq > place.sent_seq)
