"""The gate: one method through which everything that leaves the box has to pass.

It takes names, never addresses; it verifies TLS, follows no redirect, reads no proxy from the environment, and writes one audit
event for each call and each refusal. It will move into a process of its own: whoever calls it must need nothing but `open`.
"""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import httpx
from sqlalchemy import Connection

from appliance.audit.log import AuditLog
from appliance.egress.calls import Call
from appliance.egress.destinations import Destination, Purpose, valid_name
from appliance.egress.interruption import Interruption
from appliance.egress.records import INTERRUPTED, Traffic, call_ended, call_refused
from appliance.egress.windows import MaintenanceWindow, is_open
from appliance.errors import Denied, Unavailable
from appliance.identity.models import Principal
from appliance.identity.store import load_principal
from appliance.storage.database import Database

_PATH = re.compile(r"(?:/[A-Za-z0-9_][A-Za-z0-9_.-]*)+")
_CONNECT_S = 10.0
_BODY_LIMIT_BYTES = 16_000_000


class Reply:
    """What came back, readable once. Reading raises `Unavailable`: `egress.interrupted`, `.silent`, `.died`, `.too_large`."""

    def __init__(self, status: int, pieces: Iterator[bytes]) -> None:
        self.status = status
        self._pieces = pieces

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
    """Lets calls out to the destinations it was given. Safe to share between threads."""

    def __init__(
        self,
        destinations: Mapping[str, Destination],
        database: Database,
        audit: AuditLog,
        windows: Sequence[MaintenanceWindow] = (),
    ) -> None:
        self.destinations = destinations
        """What may be reached, by name: to choose from and to show; knowing an address opens nothing."""
        self._database = database
        self._audit = audit
        self._windows = windows

    @contextmanager
    def open(self, call: Call) -> Iterator[Reply]:
        """The answer to `call`, open until the block is left.

        Raises `Denied` (`egress.refused`) before anything is sent, `Unavailable` (`egress.unreachable`) where nobody answers,
        and while the answer begins what reading it raises. The record is written when the block is left.
        """
        destination, person = self._allowed(call)
        traffic, began = Traffic(), time.monotonic()
        try:
            with _exchange(destination, call, traffic) as reply:
                yield reply
        except Unavailable as error:
            traffic.reason_code = error.stable_code
            raise
        finally:
            event = call_ended(destination, person, call.about, traffic, round((time.monotonic() - began) * 1_000))
            with self._database.write() as connection:
                self._audit.append(connection, event)

    def _allowed(self, call: Call) -> tuple[Destination, Principal | None]:
        destination = self.destinations.get(call.destination)
        with self._database.read() as connection:
            person = load_principal(connection, call.person) if call.person else None
        reason = _objection(call, destination, self._windows)
        if call.person and person is None:
            reason = reason or "unknown_person"
        if destination is not None and not reason:
            return destination, person
        name = call.destination if valid_name(call.destination) else "invalid"
        with self._database.write() as connection:
            self._refuse(connection, name, call, person, reason)
        raise Denied(
            f"The box may not speak to {name} for this ({reason.replace('_', ' ')}).", code="egress.refused", reason=reason
        )

    def _refuse(self, connection: Connection, name: str, call: Call, person: Principal | None, reason: str) -> None:
        self._audit.append(connection, call_refused(name, call.purpose, person, call.about, reason))


def _objection(call: Call, destination: Destination | None, windows: Sequence[MaintenanceWindow]) -> str:
    if destination is None:
        return "unknown_destination"
    if destination.purpose is not call.purpose:
        return "other_purpose"
    if call.purpose is Purpose.DOWNLOAD and not is_open(windows):
        return "no_maintenance_window"
    if not _PATH.fullmatch(call.path):
        return "path"
    return "too_large" if len(call.body) > _BODY_LIMIT_BYTES else ""


@contextmanager
def _exchange(destination: Destination, call: Call, traffic: Traffic) -> Iterator[Reply]:
    interruption = Interruption(call.cancelled, call.deadline_s)
    method: Literal["GET", "POST"] = "POST" if call.body else "GET"
    headers = {"accept-encoding": "identity", "user-agent": "cloister"}
    if call.body:
        headers["content-type"] = "application/json"
    with _translated(destination, interruption), _client(destination, call) as client, interruption.watching():
        traffic.bytes_out = len(call.body)
        request = client.build_request(
            method, destination.address + call.path, content=call.body, headers=headers, extensions=interruption.extensions
        )
        answer = client.send(request, stream=True)
        traffic.status = answer.status_code
        try:
            yield Reply(answer.status_code, _pieces(destination, call, answer, traffic, interruption))
        finally:
            answer.close()


def _client(destination: Destination, call: Call) -> httpx.Client:
    """A client for one call: nothing of the environment, no redirects, no connection kept."""
    return httpx.Client(
        verify=_authorities(destination) if destination.tls else False,
        trust_env=False,
        follow_redirects=False,
        timeout=httpx.Timeout(call.silence_s, connect=_CONNECT_S),
        limits=httpx.Limits(max_connections=1, max_keepalive_connections=0),
    )


def _authorities(destination: Destination) -> ssl.SSLContext:
    """Whom to believe. Not `ssl.create_default_context`: that takes authorities from the environment, and writes keys to a file
    named there.
    """
    usual = ssl.get_default_verify_paths()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if destination.ca_file is not None:
            context.load_verify_locations(destination.ca_file)
        else:
            file, directory = Path(usual.openssl_cafile), Path(usual.openssl_capath)
            context.load_verify_locations(file if file.is_file() else None, directory if directory.is_dir() else None)
    except (OSError, TypeError) as error:
        raise Unavailable(
            f"The certificates to check {destination.name} by cannot be read.", code="egress.certificates"
        ) from error
    return context


def _pieces(
    destination: Destination, call: Call, answer: httpx.Response, traffic: Traffic, interruption: Interruption
) -> Iterator[bytes]:
    with _translated(destination, interruption):
        for piece in answer.iter_raw():
            traffic.bytes_in += len(piece)
            if traffic.bytes_in > call.limit_bytes:
                raise Unavailable(f"{destination.name} answered with more than was asked for.", code="egress.too_large")
            if interruption.due:
                break
            yield piece
        if interruption.due:
            raise _interrupted(destination)


@contextmanager
def _translated(destination: Destination, interruption: Interruption) -> Iterator[None]:
    """Errors of httpx as errors of ours."""
    try:
        yield
    except httpx.HTTPError as error:
        if interruption.due:
            raise _interrupted(destination) from error
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            raise Unavailable(f"{destination.name} cannot be reached.", code="egress.unreachable") from error
        if isinstance(error, httpx.TimeoutException):
            raise Unavailable(f"{destination.name} has gone silent.", code="egress.silent") from error
        raise Unavailable(f"{destination.name} broke off the connection.", code="egress.died") from error


def _interrupted(destination: Destination) -> Unavailable:
    return Unavailable(f"The call to {destination.name} was ended.", code=INTERRUPTED)
