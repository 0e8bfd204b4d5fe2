"""One HTTP exchange with a named machine: TLS verified, no redirect followed, nothing of the environment, everything bounded."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

import httpx

from appliance.egress.calls import Call
from appliance.egress.destinations import Destination, Purpose
from appliance.egress.interruption import Interruption
from appliance.egress.records import INTERRUPTED, Traffic
from appliance.errors import Unavailable

_CONNECT_S = 10.0
_CONTENT_TYPES = {Purpose.LOG: "application/x-ndjson", Purpose.IDENTITY: "application/x-www-form-urlencoded"}


class Answer(NamedTuple):
    """What came back; reading the pieces raises `Unavailable`: `egress.interrupted`, `.silent`, `.died`, `.too_large`."""

    status: int
    pieces: Iterator[bytes]


@contextmanager
def exchange(destination: Destination, call: Call, traffic: Traffic) -> Iterator[Answer]:
    """Open until the block is left. Raises `Unavailable` (`egress.unreachable`, `.certificates`) where nobody answers."""
    interruption = Interruption(call.cancelled, call.deadline_s)
    method: Literal["GET", "POST"] = "POST" if call.body else "GET"
    headers = {"accept-encoding": "identity", "user-agent": "cloister"}
    if call.body:
        headers["content-type"] = _CONTENT_TYPES.get(call.purpose, "application/json")
    with _translated(destination, interruption), _client(destination, call) as client, interruption.watching():
        traffic.bytes_out = len(call.body)
        request = client.build_request(
            method, destination.address + call.path, content=call.body, headers=headers, extensions=interruption.extensions
        )
        answer = client.send(request, stream=True)
        traffic.status = answer.status_code
        try:
            yield Answer(answer.status_code, _pieces(destination, call, answer, traffic, interruption))
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
