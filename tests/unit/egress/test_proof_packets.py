"""Packets of the proof's far side, taken apart and answered, and the names that callers say."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.egress.proof import names
from appliance.egress.proof.packets import ACK, SYN, TCP, UDP, Packet, parse, tcp_answer, udp_answer

HERE, THERE = ipaddress.ip_address("198.18.0.1").packed, ipaddress.ip_address("203.0.113.9").packed
HERE_6, THERE_6 = ipaddress.ip_address("fd00::1").packed, ipaddress.ip_address("2001:db8::9").packed


def checksum_holds(packet: bytes) -> bool:
    """By the other way of RFC 1071: the sum with the checksum in it is all ones."""
    version = packet[0] >> 4
    start = 20 if version == 4 else 40
    addresses, protocol = (packet[12:20], packet[9]) if version == 4 else (packet[8:40], packet[6])
    content = packet[start:]
    words = addresses + struct.pack("!II", len(content), protocol) + content + bytes(len(content) % 2)
    total = sum(struct.unpack(f"!{len(words) // 2}H", words))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total == 0xFFFF


@pytest.mark.parametrize("version, here, there", [(4, HERE, THERE), (6, HERE_6, THERE_6)])
def test_an_answer_goes_back_to_who_asked_and_its_checksum_holds(version: int, here: bytes, there: bytes) -> None:
    asked = Packet(version, TCP, here, there, 40_001, 443, SYN, 7)
    answer = tcp_answer(asked, sequence=2**32 - 1, acknowledged=8, flags=SYN | ACK)
    read = parse(answer)
    assert (read.source, read.target, read.source_port, read.target_port) == (there, here, 443, 40_001)
    assert (read.flags, read.sequence, read.payload) == (SYN | ACK, 2**32 - 1, b"")
    assert checksum_holds(answer)
    datagram = udp_answer(Packet(version, UDP, here, there, 40_002, 53), b"odd")
    assert parse(datagram).payload == b"odd"
    assert checksum_holds(datagram)


def test_extensions_of_ipv6_are_stepped_over() -> None:
    inner = udp_answer(Packet(6, UDP, HERE_6, THERE_6, 5, 6), b"x")
    extended = inner[:6] + b"\x00" + inner[7:40] + bytes([17, 0]) + bytes(6) + inner[40:]
    assert parse(extended).source_port == 6


@given(st.binary(max_size=80))
def test_nothing_makes_the_reader_fall(content: bytes) -> None:
    parse(content)
    names.question(content)
    names.said(content)


def query(name: str, kind: int) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack("!HHHHHH", 77, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", kind, 1)


def test_every_name_has_an_address() -> None:
    asked = query("collector.example", 1)
    assert names.question(asked) == ("collector.example", 1)
    answer = names.answer(asked, THERE)
    assert answer[:2] == asked[:2]
    assert answer.endswith(socket.inet_aton("203.0.113.9"))
    assert struct.unpack_from("!HH", answer, 4) == (1, 1)
    assert names.question(answer) is None, "an answer is no question"
    assert struct.unpack_from("!HH", names.answer(query("collector.example", 28), None), 4) == (1, 0)


def client_hello(host: str) -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    shaking = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname=host)
    with pytest.raises(ssl.SSLWantReadError):
        shaking.do_handshake()
    return outgoing.read()


def test_the_first_words_tell_the_host() -> None:
    hello = client_hello("telemetry.example")
    assert names.said(hello) == "telemetry.example"
    assert names.said(hello[:-1]) is None, "the rest is still to come"
    assert names.said(b"POST /a HTTP/1.1\r\nhOst: other.example:8080\r\n\r\n") == "other.example:8080"
    assert names.said(b"GET / HTTP/1.1\r\nHost: oth") is None
    assert names.said(b"\x00\x01anything") == ""
