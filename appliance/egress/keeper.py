"""The gate's own side: answers at its socket, judges each call by what it read itself, and counts.

It holds no key and opens no file of the box. What a call was about, and for whom, is put on record by the caller, before anything
is sent and again when it has ended; the count kept here, which no caller can change, shows a call that was not.
"""

from __future__ import annotations

import os
import secrets
import select
import socket
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass

from appliance.egress import frames
from appliance.egress.calls import OWN_WORDS, Call
from appliance.egress.destinations import Destination
from appliance.egress.exchange import exchange
from appliance.egress.frames import Asked, Count, Kind, Moved, Opened, Refused
from appliance.egress.own_words import LISTINGS, are_own_words, listed_names
from appliance.egress.records import Traffic
from appliance.egress.verdict import ANSWER_LIMITS, Permissions, objection
from appliance.errors import Unavailable
from appliance.storage.clock import now_ms

_LOOK_S = 0.5
_PATIENCE_S = 30.0
"""How long a caller may take for its own part: asking, recording, sending the body, reading what has come."""

_CALLS_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class _Left:
    """Set once the caller has gone: after `GO` it has nothing to say, so that whatever can be read is the end."""

    connection: socket.socket

    def is_set(self) -> bool:
        poll = select.poll()
        poll.register(self.connection, select.POLLIN)
        return bool(poll.poll(0))


class Keeper:
    """Lets calls out for callers of our own account. One thread for each call."""

    def __init__(self, permissions: Permissions) -> None:
        self._permissions = permissions
        self._count = Count(gate=secrets.token_hex(8), since_ms=now_ms())
        self._listed: dict[str, frozenset[str]] = {}
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(_CALLS_AT_ONCE)

    def serve(self, listener: socket.socket, ending: Callable[[], bool]) -> None:
        """Answer until `ending`, which is asked several times a second. Calls that are in the works are left to `settle`."""
        while not ending():
            if not select.select([listener], [], [], _LOOK_S)[0] or ending() or not self._places.acquire(timeout=_LOOK_S):
                continue
            connection, _ = listener.accept()
            threading.Thread(target=self._attend, args=(connection,), daemon=True).start()

    def settle(self, limit_s: float) -> None:
        """Wait for the calls in the works, for so long at most."""
        deadline = time.monotonic() + limit_s
        for _ in range(_CALLS_AT_ONCE):
            if not self._places.acquire(timeout=max(0.0, deadline - time.monotonic())):
                return

    def _attend(self, connection: socket.socket) -> None:
        try:
            # whoever breaks off, or speaks otherwise than agreed, has ended the call
            with closing(connection), suppress(OSError, EOFError, ValueError):
                self._answer(connection)
        finally:
            self._places.release()

    def _answer(self, connection: socket.socket) -> None:
        connection.settimeout(_PATIENCE_S)
        if frames.peer_user(connection) != os.geteuid():
            self._add(strangers=1)
            return
        kind, payload = frames.receive(connection)
        if kind is Kind.COUNT:
            frames.send(connection, Kind.COUNT, self._count)
        elif kind is Kind.ASK:
            self._judge(connection, payload)

    def _judge(self, connection: socket.socket, payload: bytes) -> None:
        asked = frames.decoded(payload, Asked)
        reason = objection(asked, self._permissions)
        if reason:
            self._add(refused=1)
            frames.send(connection, Kind.REFUSED, Refused(self._count.gate, reason))
            return
        destination = self._permissions.destinations[asked.destination]
        frames.send(connection, Kind.OPEN, Opened(self._count.gate, destination.host, destination.port))
        call = _call(connection, asked, _body(connection, asked))
        self._add(calls=1)
        if asked.classification == OWN_WORDS and call.body and not are_own_words(call.path, call.body, self._models_at(call)):
            frames.send(connection, Kind.FAILED, Moved(0, 0, "egress.refused", "The gate found more in it than was said."))
            return
        self._let_out(connection, destination, call)

    def _let_out(self, connection: socket.socket, destination: Destination, call: Call) -> None:
        traffic = Traffic()
        heard = bytearray()
        try:
            with exchange(destination, call, traffic) as answer:
                frames.send(connection, Kind.STATUS, answer.status)
                for arrived in answer.pieces:
                    if call.path in LISTINGS and not call.body:
                        heard += arrived
                    for piece in frames.pieces(arrived):
                        frames.send(connection, Kind.DATA, piece)
        except Unavailable as error:
            moved = Moved(traffic.bytes_out, traffic.bytes_in, error.stable_code, error.sentence)
            frames.send(connection, Kind.FAILED, moved)
        else:
            if heard:
                self._listed[destination.name] = listed_names(bytes(heard))
            frames.send(connection, Kind.END, Moved(traffic.bytes_out, traffic.bytes_in))
        finally:
            self._add(bytes_out=traffic.bytes_out, bytes_in=traffic.bytes_in)

    def _models_at(self, call: Call) -> frozenset[str]:
        """What that server has told of itself, since we run: a name that it did not say could be anything."""
        return self._listed.get(call.destination, frozenset())

    def _add(self, **more: int) -> None:
        with self._lock:
            for name, amount in more.items():
                setattr(self._count, name, getattr(self._count, name) + amount)


def _body(connection: socket.socket, asked: Asked) -> bytes:
    """What the caller sends before `GO`. Raises `ValueError` where that is not what it announced."""
    body = bytearray()
    while True:
        kind, piece = frames.receive(connection)
        if kind is Kind.GO and len(body) == asked.body_bytes:
            return bytes(body)
        body += piece
        if kind is not Kind.BODY or len(body) > asked.body_bytes:
            raise ValueError("not the body that was announced")


def _call(connection: socket.socket, asked: Asked, body: bytes) -> Call:
    return Call(
        asked.destination,
        asked.purpose,
        asked.path,
        body,
        limit_bytes=min(asked.limit_bytes, ANSWER_LIMITS[asked.purpose]),
        silence_s=asked.silence_s,
        deadline_s=asked.deadline_s,
        cancelled=_Left(connection),
    )
