"""What passes between a caller and the gate: frames on a UNIX socket, one connection for each call.

The caller asks (`ASK`); the gate refuses (`REFUSED`) or agrees (`OPEN`). Then the caller, who has put the call on record
meanwhile, sends the body (`BODY`, any number) and `GO`; back come `STATUS`, the answer as it arrives (`DATA`), and `END` or
`FAILED` with what was moved. Whoever closes the connection ends the call. `COUNT` asks for the gate's own count.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import TypeVar

import msgspec

from appliance.egress.destinations import Purpose

PIECE_BYTES = 64 * 1024
_ASK_BYTES = 16_384
_LOOK_S = 0.05
_HEAD = struct.Struct("=BI")
_Content = TypeVar("_Content")


class Kind(IntEnum):
    """What a frame holds."""

    ASK = 1
    REFUSED = 2
    OPEN = 3
    BODY = 4
    GO = 5
    STATUS = 6
    DATA = 7
    END = 8
    FAILED = 9
    COUNT = 10


_PLAIN = {Kind.BODY, Kind.DATA}


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A call as the gate has to judge it. On whose behalf it is made, and about what, the gate is not told."""

    destination: str
    purpose: Purpose
    path: str
    classification: str
    body_bytes: int
    limit_bytes: int
    silence_s: float
    deadline_s: float | None


class Opened(msgspec.Struct, frozen=True):
    """The gate would let it out, to this machine."""

    gate: str
    host: str
    port: int


class Refused(msgspec.Struct, frozen=True):
    gate: str
    reason: str


class Moved(msgspec.Struct, frozen=True):
    """Bytes of bodies, without headers and TLS. `code` and `sentence` say what failed, empty where nothing did."""

    bytes_out: int
    bytes_in: int
    code: str = ""
    sentence: str = ""


class Count(msgspec.Struct):
    """What the gate has done since it started, counted by itself. `gate` tells its lives apart; `strangers` were not answered."""

    gate: str
    since_ms: int
    calls: int = 0
    refused: int = 0
    strangers: int = 0
    bytes_out: int = 0
    bytes_in: int = 0


def send(connection: socket.socket, kind: Kind, content: msgspec.Struct | int | bytes = b"") -> None:
    """Raises `OSError` where the other side has gone."""
    payload = content if isinstance(content, bytes) else msgspec.json.encode(content)
    connection.sendall(_HEAD.pack(kind, len(payload)) + payload)


def receive(connection: socket.socket, look: Callable[[], None] | None = None) -> tuple[Kind, bytes]:
    """The next frame. `look` is called while there is nothing, and may raise.

    Raises `EOFError` where the other side has closed, `ValueError` for what is no frame, `OSError`.
    """
    kind, size = _HEAD.unpack(_exactly(connection, _HEAD.size, look))
    found = Kind(kind)
    if size > (PIECE_BYTES if found in _PLAIN else _ASK_BYTES):
        raise ValueError("a frame is too large")
    return found, _exactly(connection, size, look)


def decoded(payload: bytes, kind: type[_Content]) -> _Content:
    """Raises `ValueError` (of which msgspec's is a kind)."""
    return msgspec.json.decode(payload, type=kind)


def pieces(body: bytes) -> Iterator[bytes]:
    """A body in the sizes of frames."""
    for begin in range(0, len(body), PIECE_BYTES):
        yield body[begin : begin + PIECE_BYTES]


def peer_user(connection: socket.socket) -> int:
    """The account at the other end, as the kernel knows it (SO_PEERCRED, unix(7))."""
    _, user, _ = struct.unpack("=iII", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return int(user)


def _exactly(connection: socket.socket, size: int, look: Callable[[], None] | None) -> bytes:
    if look is not None:
        connection.settimeout(_LOOK_S)
    found = bytearray()
    while len(found) < size:
        try:
            piece = connection.recv(size - len(found))
        except TimeoutError:
            if look is None:
                raise
            look()
            continue
        if not piece:
            raise EOFError
        found += piece
    return bytes(found)
