"""Carries the log to the collector: what it has grown by, in order, at least once. For workers, not for people.

The place reached moves only after the collector has answered that it took the lines; whatever breaks off before that is sent
again, and the numbers in the lines tell. What leaves are the bodies of leaves as they were hashed, and signed checkpoints: what
is sealed lies in another table, which nothing here reads.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from sqlalchemy import Connection, select

from appliance.audit.collected import Piece, written
from appliance.audit.events import AuditEvent, EventName, Outcome, ResourceRef
from appliance.audit.log import AuditLog
from appliance.audit.notes import Verifier
from appliance.audit.store import last_seq
from appliance.egress.calls import Call
from appliance.egress.collector import place as places
from appliance.egress.collector.place import MOST_LEAVES, Place
from appliance.egress.destinations import Destination, Purpose
from appliance.egress.gate import Gate
from appliance.errors import Denied, Unavailable
from appliance.identity.models import SYSTEM
from appliance.storage.clock import now_ms
from appliance.storage.database import Database
from appliance.storage.tables import audit_checkpoints, audit_events

_TURN_S = 20.0
_MOST_BYTES = 1_000_000
_ANSWER_BYTES = 100_000
_SILENCE_S, _CALL_S = 30.0, 120.0
_LATER = {408, 429}
"""Besides 5xx: not now, and no fault of the request."""


class Forwarding:
    """To the one destination with the purpose `log`; where none is named nothing happens."""

    def __init__(
        self,
        database: Database,
        audit: AuditLog,
        verifier: Verifier,
        *,
        named: Callable[[], Destination | None],
        gate: Callable[[], Gate],
    ) -> None:
        """`named` is asked each time: the list may have changed. `gate` is asked where there is something to send."""
        self._database = database
        self._audit = audit
        self._verifier = verifier
        self._named = named
        self._gate = gate
        self._turn = threading.Lock()

    def run(self, turn_s: float = _TURN_S) -> int:
        """Send what is due, for about `turn_s` seconds; how many entries were taken. Nothing where another thread is at it.

        Raises `SetupError` (`setup.destinations`).
        """
        destination = self._named()
        if destination is None or not self._turn.acquire(blocking=False):
            return 0
        try:
            return self._run(destination, time.monotonic() + turn_s)
        finally:
            self._turn.release()

    def _run(self, destination: Destination, end: float) -> int:
        count = 0
        while time.monotonic() < end:
            with self._database.read() as connection:
                place = places.place_of(connection, address_of(destination))
                many = last_seq(connection) - place.sent_seq >= MOST_LEAVES
                if not places.is_due(place, now_ms(), many=many):
                    break
                if not places.anything_waits(connection, place, destination.name):
                    break
                piece = self._piece(connection, place.sent_seq)
            place = places.begun(place, now_ms())
            self._keep(place)
            fault, status = self._send(destination, piece.body)
            if fault:
                self._failed(destination, place, fault, status)
                break
            self._taken(destination, place, piece.last_seq)
            count += piece.last_seq - place.sent_seq
        return count

    def _piece(self, connection: Connection, after_seq: int) -> Piece:
        of, notes = audit_events.c, audit_checkpoints.c
        following = select(of.seq, of.leaf_hash, of.body).where(of.seq > after_seq).order_by(of.seq).limit(MOST_LEAVES)
        rows = connection.execute(following).all()
        within = select(notes.size, notes.note).where(notes.size.between(rows[0].seq, rows[-1].seq))
        signed = dict(connection.execute(within).tuples().all())
        return written(rows, signed, str(self._verifier), _MOST_BYTES)

    def _send(self, destination: Destination, body: bytes) -> tuple[str, int]:
        """The code of what went wrong, empty where the collector took it, and the status of an answer that says it did not."""
        call = Call(
            destination.name,
            Purpose.LOG,
            destination.path,
            body,
            limit_bytes=_ANSWER_BYTES,
            silence_s=_SILENCE_S,
            deadline_s=_CALL_S,
        )
        status, fault = 0, ""
        try:
            with self._gate().open(call) as reply:
                status = reply.status
                reply.read()
        except (Denied, Unavailable) as error:
            fault = error.stable_code
        if 200 <= status < 300:  # that is its word, whatever became of the rest of the answer
            return "", 0
        if not status:
            return fault, 0
        return (places.FAILING if status in _LATER or status >= 500 else places.REFUSED), status

    def _keep(self, place: Place, *events: AuditEvent) -> None:
        with self._database.write() as connection:
            places.keep(connection, place)
            for event in events:
                self._audit.append(connection, event)

    def _taken(self, destination: Destination, place: Place, through: int) -> None:
        events = []
        if place.sent_ms is None:
            events.append(_event(EventName.COLLECTOR_BEGUN, destination, through=through))
        if place.failing_since_ms is not None:
            since_ms = place.failing_since_ms
            events.append(_event(EventName.COLLECTOR_RECOVERED, destination, through=through, failing_since_ms=since_ms))
        self._keep(places.taken(place, through, now_ms()), *events)

    def _failed(self, destination: Destination, place: Place, fault: str, status: int) -> None:
        events = []
        if place.failing_since_ms is None:
            facts: dict[str, str | int] = {"reason_code": fault, **({"status": status} if status else {})}
            events.append(_event(EventName.COLLECTOR_FAILED, destination, **facts))
        self._keep(places.failed(place, fault, status, now_ms()), *events)


def address_of(destination: Destination) -> str:
    """By which the place is kept: another machine, port or path begins with the first entry."""
    return destination.address + destination.path


def _event(name: EventName, destination: Destination, **facts: str | int) -> AuditEvent:
    about: dict[str, str | int] = {"host": destination.host, "port": destination.port}
    outcome = Outcome.FAILURE if name is EventName.COLLECTOR_FAILED else Outcome.SUCCESS
    return AuditEvent(
        name, SYSTEM, resources=(ResourceRef("destination", destination.name),), outcome=outcome, facts=about | facts
    )
