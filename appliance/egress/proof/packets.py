"""IP packets as far as the far side needs them: taken apart, and answered. Pure.

Formats: RFC 791 (IPv4), RFC 8200 (IPv6), RFC 9293 (TCP), RFC 768 (UDP), RFC 1071 (checksum).
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass

TCP, UDP, ICMP, ICMP6, IGMP = 6, 17, 1, 58, 2
FIN, SYN, RST, ACK = 1, 2, 4, 16
_WINDOW = 65_535
_LIFE = 64
_EXTENSIONS = frozenset({0, 43, 60})  # hop by hop, routing, destination


@dataclass(frozen=True, slots=True)
class Packet:
    """`flags` and `sequence` are TCP's; `kind` is ICMP's. What a protocol does not have is 0."""

    version: int
    protocol: int
    source: bytes
    target: bytes
    source_port: int = 0
    target_port: int = 0
    flags: int = 0
    sequence: int = 0
    kind: int = 0
    payload: bytes = b""

    @property
    def address(self) -> str:
        """Where it was to go."""
        return str(ipaddress.ip_address(self.target))


def parse(content: bytes) -> Packet | None:
    """None for what is no complete IP packet."""
    try:
        version = content[0] >> 4
        if version == 4:
            start, protocol = (content[0] & 15) * 4, content[9]
            source, target = content[12:16], content[16:20]
        elif version == 6:
            start, protocol = 40, content[6]
            source, target = content[8:24], content[24:40]
            while protocol in _EXTENSIONS:
                protocol, start = content[start], start + (content[start + 1] + 1) * 8
        else:
            return None
        return _with_ports(version, protocol, source, target, content[start:])
    except (IndexError, struct.error):
        return None


def _with_ports(version: int, protocol: int, source: bytes, target: bytes, rest: bytes) -> Packet:
    if protocol == TCP:
        source_port, target_port, sequence, _, place, flags = struct.unpack_from("!HHIIBB", rest)
        payload = rest[(place >> 4) * 4 :]
        return Packet(version, protocol, source, target, source_port, target_port, flags, sequence, payload=payload)
    if protocol == UDP:
        source_port, target_port = struct.unpack_from("!HH", rest)
        return Packet(version, protocol, source, target, source_port, target_port, payload=rest[8:])
    kind = rest[0] if protocol in {ICMP, ICMP6} else 0
    return Packet(version, protocol, source, target, kind=kind, payload=rest)


def tcp_answer(to: Packet, *, sequence: int, acknowledged: int, flags: int) -> bytes:
    """A segment without content, from where `to` went."""
    fields = (to.target_port, to.source_port, sequence & 0xFFFFFFFF, acknowledged & 0xFFFFFFFF, 5 << 4, flags, _WINDOW)
    unsummed = struct.pack("!HHIIBBHHH", *fields, 0, 0)
    total = _checksum(_pseudo_header(to, TCP, len(unsummed)) + unsummed)
    return _from_target(to, TCP, struct.pack("!HHIIBBHHH", *fields, total, 0))


def udp_answer(to: Packet, payload: bytes) -> bytes:
    """A datagram from where `to` went."""
    fields = (to.target_port, to.source_port, 8 + len(payload))
    unsummed = struct.pack("!HHHH", *fields, 0) + payload
    total = _checksum(_pseudo_header(to, UDP, len(unsummed)) + unsummed) or 0xFFFF
    return _from_target(to, UDP, struct.pack("!HHHH", *fields, total) + payload)


def _from_target(to: Packet, protocol: int, content: bytes) -> bytes:
    if to.version == 6:
        return struct.pack("!IHBB", 6 << 28, len(content), protocol, _LIFE) + to.target + to.source + content
    fields = (0x45, 0, 20 + len(content), 0, 0, _LIFE, protocol)
    unsummed = struct.pack("!BBHHHBBH", *fields, 0) + to.target + to.source
    return struct.pack("!BBHHHBBH", *fields, _checksum(unsummed)) + to.target + to.source + content


def _pseudo_header(to: Packet, protocol: int, length: int) -> bytes:
    shape = "!BBH" if to.version == 4 else "!I3xB"
    return (
        to.target
        + to.source
        + (struct.pack(shape, 0, protocol, length) if to.version == 4 else struct.pack(shape, length, protocol))
    )


def _checksum(content: bytes) -> int:
    words = content + bytes(len(content) % 2)
    total = 0
    for (word,) in struct.iter_unpack("!H", words):
        total += int(word)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
