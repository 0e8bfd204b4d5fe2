"""How far the collector is, for people: on two pages, in `cloister egress status` and in `cloister doctor`."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection

from appliance.audit.log import utc_text
from appliance.audit.store import last_seq
from appliance.egress.collector.forwarding import address_of
from appliance.egress.collector.place import FAILING, REFUSED, REFUSED_HERE, place_of, waiting
from appliance.egress.destinations import Destination
from appliance.egress.records import INTERRUPTED

LATE_MS = 3_600_000
_WORDS = {
    REFUSED: "it does not accept what it is sent (HTTP status {status}): somebody has to look at it",
    FAILING: "it answered with the HTTP status {status}",
    REFUSED_HERE: "the gate of this box does not let the call out: somebody has to look at destinations.toml",
    "egress.unreachable": "it cannot be reached",
    "egress.certificates": "the certificates to know it by cannot be read",
    "egress.silent": "it has gone silent",
    "egress.died": "it broke off the connection",
    "egress.gate": "the gate of this box does not answer",
    INTERRUPTED: "it took too long",
}


class CollectorState(msgspec.Struct, frozen=True):
    """`waiting` entries are still to be sent, the first of them since `waiting_since_ms`; those of its own calls do not count.

    `late`: the first has waited for more than an hour, in which nothing was taken. `fault` is a stable code, empty where
    nothing fails.
    """

    name: str
    sent_seq: int
    sent_ms: int | None
    newest_seq: int
    waiting: int
    waiting_since_ms: int | None
    late: bool
    fault: str
    status: int
    failing_since_ms: int | None

    @property
    def ahead(self) -> bool:
        """Whether it has entries that are not here: nothing that the box does by itself comes to that."""
        return self.sent_seq > self.newest_seq

    @property
    def troubled(self) -> bool:
        """Whether somebody should look."""
        return self.late or self.ahead or bool(self.fault)

    @property
    def sentence(self) -> str:
        """Without times, which each place writes in its own way."""
        reached = f"has the log up to entry {self.sent_seq}" if self.sent_seq else "has nothing of the log yet"
        if self.ahead:
            return f"{self.name} {reached}, and here it ends with {self.newest_seq}: its end was cut off."
        waits = {0: "nothing waits", 1: "1 entry waits"}.get(self.waiting, f"{self.waiting:,} entries wait")
        told = f"{self.name} {reached}; {waits}."
        if self.fault:
            return f"{told} It fails: {_WORDS.get(self.fault, self.fault).format(status=self.status)}."
        return f"{told} It is more than an hour behind." if self.late else told


def taken_last(state: CollectorState) -> str:
    """When, for a command line; after the sentence."""
    taken = "" if state.sent_ms is None else f" It took something last at {utc_text(state.sent_ms)}."
    return taken if state.failing_since_ms is None else f"{taken} It fails since {utc_text(state.failing_since_ms)}."


def collector_state(connection: Connection, destination: Destination, now_ms: int) -> CollectorState:
    """As the rows say now."""
    place = place_of(connection, address_of(destination))
    lacking = waiting(connection, place, destination.name)
    return CollectorState(
        name=destination.name,
        sent_seq=place.sent_seq,
        sent_ms=place.sent_ms,
        newest_seq=last_seq(connection),
        waiting=lacking.count,
        waiting_since_ms=lacking.since_ms,
        # either way: a time that is still to come is one of a clock that was turned back since
        late=lacking.since_ms is not None and abs(now_ms - max(lacking.since_ms, place.sent_ms or 0)) > LATE_MS,
        fault=place.fault,
        status=place.status,
        failing_since_ms=place.failing_since_ms,
    )
