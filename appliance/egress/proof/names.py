"""The names that callers say: in a DNS question, in the first words of a TLS handshake, in a request of HTTP. Pure.

DNS: RFC 1035. Server name indication: RFC 8446 section 4.1.2, RFC 6066 section 3.
"""

from __future__ import annotations

import re
import struct

A, ANY = 1, 255
_ANSWER_FLAGS = 0x8180  # an answer, with recursion
_LIFE_S = 60
_HANDSHAKE, _CLIENT_HELLO = 22, 1
_SERVER_NAME = 0
_HOST = re.compile(rb"^host:[ \t]*([^\r\n]+)", re.IGNORECASE | re.MULTILINE)


def question(message: bytes) -> tuple[str, int] | None:
    """The name and the kind of record of a DNS query; None for anything else."""
    try:
        if len(message) < 12 or message[2] & 0x80:
            return None
        labels, place = [], 12
        while length := message[place]:
            if length > 63:
                return None
            labels.append(message[place + 1 : place + 1 + length].decode("ascii", "replace"))
            place += 1 + length
        return ".".join(labels), struct.unpack_from("!H", message, place + 1)[0]
    except (IndexError, struct.error):
        return None


def answer(message: bytes, address: bytes | None) -> bytes:
    """To a query that `question` understood: an IPv4 address, or that the name is there and has no such record."""
    end = message.index(0, 12) + 5
    counts = struct.pack("!HHHH", 1, 1 if address else 0, 0, 0)
    record = struct.pack("!HHHIH", 0xC00C, A, 1, _LIFE_S, 4) + address if address else b""
    return message[:2] + struct.pack("!H", _ANSWER_FLAGS) + counts + message[12:end] + record


def said(head: bytes) -> str | None:
    """The host that the first bytes of a connection name, empty where they name none; None where more must come first."""
    if head[:1] == bytes([_HANDSHAKE]):
        if len(head) < 5 or len(head) < 5 + int.from_bytes(head[3:5]):
            return None
        return _server_name(head)
    if head.split(b" ", 1)[0].isalpha() and b"HTTP/" in head:
        if b"\r\n\r\n" not in head:
            return None
        found = _HOST.search(head)
        return found.group(1).decode("ascii", "replace") if found else ""
    return ""


def _server_name(record: bytes) -> str:
    try:
        if record[5] != _CLIENT_HELLO:
            return ""
        place = 5 + 4 + 2 + 32
        place += 1 + record[place]
        place += 2 + int.from_bytes(record[place : place + 2])
        place += 1 + record[place]
        end = place + 2 + int.from_bytes(record[place : place + 2])
        place += 2
        while place + 4 <= end:
            kind, length = struct.unpack_from("!HH", record, place)
            if kind == _SERVER_NAME:
                return record[place + 9 : place + 4 + length].decode("ascii", "replace")
            place += 4 + length
    except (IndexError, struct.error):
        pass
    return ""
