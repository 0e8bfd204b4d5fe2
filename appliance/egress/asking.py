"""Asking the gate, frame by frame: the caller's side of what `keeper` answers. Needs neither database nor HTTP client."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from appliance.egress import frames
from appliance.egress.calls import Call
from appliance.egress.frames import Asked, Count, Kind, Moved, Opened, Refused
from appliance.egress.records import INTERRUPTED, Traffic
from appliance.errors import Unavailable

_CONNECT_S = 5.0
_GRACE_S = 15.0
"""The gate notices a silent machine by itself, and says so; beyond that it is the gate that is silent."""


class Asking:
    """The caller's side of one call."""

    def __init__(self, connection: socket.socket, call: Call) -> None:
        self.traffic = Traffic()
        self._connection = connection
        self._call = call
        self._ends = None if call.deadline_s is None else time.monotonic() + call.deadline_s
        self._heard = time.monotonic()

    def ask(self) -> Opened | Refused:
        """What the gate says. Raises `Unavailable`."""
        call = self._call
        asked = Asked(
            destination=call.destination,
            purpose=call.purpose,
            path=call.path,
            classification=call.classification,
            body_bytes=len(call.body),
            limit_bytes=call.limit_bytes,
            silence_s=call.silence_s,
            deadline_s=call.deadline_s,
        )
        with _translated():
            frames.send(self._connection, Kind.ASK, asked)
            kind, payload = self._next()
            return frames.decoded(payload, Opened) if kind is Kind.OPEN else frames.decoded(payload, Refused)

    def go(self) -> Iterator[bytes]:
        """Send the body, wait for the answer to begin: its status is in `traffic`, here are its pieces. Raises `Unavailable`."""
        with _translated():
            self._connection.settimeout(_GRACE_S)
            for piece in frames.pieces(self._call.body):
                frames.send(self._connection, Kind.BODY, piece)
            frames.send(self._connection, Kind.GO)
            self.traffic.bytes_out = len(self._call.body)
            kind, payload = self._next()
            if kind is Kind.FAILED:
                raise self._failure(payload)
            self.traffic.status = frames.decoded(payload, int)
        return self._pieces()

    def _pieces(self) -> Iterator[bytes]:
        with _translated():
            while True:
                kind, payload = self._next()
                if kind is Kind.FAILED:
                    raise self._failure(payload)
                if kind is Kind.END:
                    return
                self.traffic.bytes_in += len(payload)
                yield payload

    def _next(self) -> tuple[Kind, bytes]:
        self._look()
        self._heard = time.monotonic()
        return frames.receive(self._connection, self._look)

    def _failure(self, payload: bytes) -> Unavailable:
        moved = frames.decoded(payload, Moved)
        self.traffic.bytes_out, self.traffic.bytes_in = moved.bytes_out, moved.bytes_in
        return Unavailable(moved.sentence, code=moved.code)

    def _look(self) -> None:
        now = time.monotonic()
        stopped = self._call.cancelled is not None and self._call.cancelled.is_set()
        if stopped or (self._ends is not None and now >= self._ends):
            raise Unavailable(f"The call to {self._call.destination} was ended.", code=INTERRUPTED)
        if now - self._heard > self._call.silence_s + _GRACE_S:
            raise TimeoutError


@contextmanager
def connected(place: Path) -> Iterator[socket.socket]:
    """A connection to the gate at `place`, which belongs to our own account. Raises `Unavailable` (`egress.gate`)."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        with _translated():
            connection.settimeout(_CONNECT_S)
            connection.connect(str(place))
            if frames.peer_user(connection) != os.geteuid():
                raise PermissionError
        yield connection


def gate_count(place: Path) -> Count:
    """What the gate says it has done. Raises `Unavailable` (`egress.gate`)."""
    with connected(place) as connection, _translated():
        frames.send(connection, Kind.COUNT)
        return frames.decoded(frames.receive(connection)[1], Count)


def gate_answers(place: Path) -> bool:
    """Whether a gate is there."""
    try:
        gate_count(place)
    except Unavailable:
        return False
    return True


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, ValueError) as error:
        raise Unavailable("The gate of this box does not answer, or broke off.", code="egress.gate") from error
