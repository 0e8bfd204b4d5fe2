"""The door to the gate, for the processes behind the seal: one method through which everything that leaves the box has to pass.

It takes names, never addresses, and opens no network connection: the gate does, a process of its own (`keeper`), and judges for
itself. Here each call is put on record before anything is sent, and again when it has ended; each refusal, too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from appliance.audit.events import AuditEvent
from appliance.audit.log import AuditLog
from appliance.egress.asking import Asking, connected
from appliance.egress.calls import Call
from appliance.egress.destinations import Destination, valid_name
from appliance.egress.frames import Refused
from appliance.egress.records import call_ended, call_opened, call_refused
from appliance.errors import Denied, Unavailable
from appliance.identity.models import Principal
from appliance.identity.store import load_principal
from appliance.storage.database import Database


class Reply:
    """What came back, readable once.

    Reading raises `Unavailable`: `egress.interrupted`, `.silent`, `.died`, `.too_large`, and `.gate` where the gate itself ended.
    """

    def __init__(self, status: int, pieces: Iterator[bytes]) -> None:
        self.status = status
        self._pieces = pieces

    def pieces(self) -> Iterator[bytes]:
        """As they come, of any size."""
        return self._pieces

    def read(self) -> bytes:
        """All of it."""
        return b"".join(self._pieces)

    def lines(self) -> Iterator[bytes]:
        """Line by line, as they come, without their ends; what follows the last line end counts as a line."""
        rest = b""
        for piece in self._pieces:
            *whole, rest = (rest + piece).split(b"\n")
            for line in whole:
                yield line.rstrip(b"\r")
        if rest:
            yield rest


class Gate:
    """Asks the gate to let calls out. Safe to share between threads."""

    def __init__(
        self, destinations: Mapping[str, Destination], place: Callable[[], Path], database: Database, audit: AuditLog
    ) -> None:
        """`place` is where the gate's socket lies; it is asked for each call."""
        self.destinations = destinations
        """What may be reached, by name: to choose from and to show; knowing an address opens nothing."""
        self._place = place
        self._database = database
        self._audit = audit

    @contextmanager
    def open(self, call: Call) -> Iterator[Reply]:
        """The answer to `call`, open until the block is left.

        Raises `Denied` (`egress.refused`) before anything is sent, `Unavailable` (`egress.unreachable`) where nobody answers,
        `egress.gate` where the gate does not, and while the answer begins what reading it raises.
        """
        person = self._on_behalf_of(call)
        with connected(self._place()) as connection:
            asking = Asking(connection, call)
            opened = asking.ask()
            if isinstance(opened, Refused):
                raise self._refusal(call, person, opened.reason, opened.gate)
            self._record(call_opened(opened, call, person))
            began = time.monotonic()
            try:
                pieces = asking.go()
                yield Reply(asking.traffic.status, pieces)
            except Unavailable as error:
                asking.traffic.reason_code = error.stable_code
                raise
            finally:
                taken_ms = round((time.monotonic() - began) * 1_000)
                self._record(call_ended(opened, call, person, asking.traffic, taken_ms))

    def _on_behalf_of(self, call: Call) -> Principal | None:
        """Raises `Denied` for somebody who may do nothing here (any more), and where no gate runs because nothing may leave."""
        person = None
        if call.person:
            with self._database.read() as connection:
                person = load_principal(connection, call.person)
            if person is None:
                raise self._refusal(call, None, "unknown_person")
        if not self.destinations:
            raise self._refusal(call, person, "unknown_destination")
        return person

    def _refusal(self, call: Call, person: Principal | None, reason: str, gate: str = "") -> Denied:
        name = call.destination if valid_name(call.destination) else "invalid"
        self._record(call_refused(name, call, person, reason, gate))
        return Denied(
            f"The box may not speak to {name} for this ({reason.replace('_', ' ')}).", code="egress.refused", reason=reason
        )

    def _record(self, event: AuditEvent) -> None:
        with self._database.write() as connection:
            self._audit.append(connection, event)
