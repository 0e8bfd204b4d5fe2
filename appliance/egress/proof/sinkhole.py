"""The far side: answers every name, accepts every connection on every port, and writes down who came.

One thread, one loop. It speaks just enough TCP (RFC 9293) to let a caller say its first words, then ends the connection: a
library that is answered tells more than one that is not, and one that hangs would hold up the day.
"""

from __future__ import annotations

import secrets
import select
import threading
import time
from dataclasses import dataclass
from ipaddress import IPv4Address

import msgspec

from appliance.egress.proof import names
from appliance.egress.proof.owners import Owner, owner_of
from appliance.egress.proof.packets import ACK, FIN, ICMP, ICMP6, IGMP, RST, SYN, TCP, UDP, Packet, parse, tcp_answer, udp_answer
from appliance.egress.proof.wires import Wire

_LOOK_S = 0.1
_DNS_PORT = 53
_FIRST_ADDRESS = int(IPv4Address("198.18.1.0"))
_HEAD_BYTES = 16_384
_OF_THE_KERNEL = frozenset({133, 135, 136, 143})
"""ICMPv6 by which the kernel itself looks for neighbours and groups (RFC 4861, RFC 3810); no process asked for it."""

_PROTOCOLS = {TCP: "tcp", UDP: "udp", ICMP: "icmp", ICMP6: "icmp"}


class Attempt(msgspec.Struct):
    """Somebody who reached for an address outside, or asked for a name (`protocol` "dns")."""

    process: str
    command: str
    pid: int
    protocol: str
    address: str
    port: int
    name: str
    since_start_s: float
    count: int = 1


class Seen(msgspec.Struct, frozen=True):
    """What came out of the processes under proof; `packets_of_kernel` are those that no process asked for."""

    attempts: list[Attempt]
    packets: int
    packets_of_kernel: int
    packets_unreadable: int


@dataclass(slots=True)
class _Connection:
    attempt: Attempt
    sequence: int
    expected: int
    head: bytes = b""
    ended: bool = False


class Sinkhole:
    """Runs from `start` to `stop`."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._began = time.monotonic()
        self._attempts: dict[tuple[str, int, str, str, int, str], Attempt] = {}
        self._connections: dict[tuple[bytes, int, bytes, int], _Connection] = {}
        self._addresses: dict[str, str] = {}
        self._packets = self._of_kernel = self._unreadable = 0
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="sinkhole", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> Seen:
        """All that was seen, in the order in which it came."""
        self._ending.set()
        self._thread.join()
        return self.seen()

    def seen(self) -> Seen:
        with self._lock:
            return Seen([*self._attempts.values()], self._packets, self._of_kernel, self._unreadable)

    def _listen(self) -> None:
        while not self._ending.is_set():
            select.select([self._wire.fileno()], [], [], _LOOK_S)
            while (content := self._wire.read()) is not None:
                packet = parse(content)
                with self._lock:
                    self._packets += 1
                    answer = self._take(packet)
                if answer:
                    self._wire.write(answer)

    def _take(self, packet: Packet | None) -> bytes | None:
        """Note it; the answer, where one is due."""
        if packet is None:
            self._unreadable += 1
            return None
        if packet.protocol == IGMP or (packet.protocol == ICMP6 and packet.kind in _OF_THE_KERNEL):
            self._of_kernel += 1
            return None
        if packet.protocol == TCP:
            return self._take_segment(packet)
        asked = names.question(packet.payload) if packet.protocol == UDP and packet.target_port == _DNS_PORT else None
        if asked is None:
            self._note(packet, _PROTOCOLS.get(packet.protocol, f"ip {packet.protocol}"), self._addresses.get(packet.address, ""))
            return None
        name, kind = asked
        self._note(packet, "dns", name)
        return udp_answer(packet, names.answer(packet.payload, self._address_of(name) if kind in {names.A, names.ANY} else None))

    def _take_segment(self, packet: Packet) -> bytes | None:
        key = (packet.source, packet.source_port, packet.target, packet.target_port)
        if packet.flags & SYN:
            attempt = self._note(packet, "tcp", self._addresses.get(packet.address, ""))
            sequence, expected = secrets.randbits(32), packet.sequence + 1
            self._connections[key] = _Connection(attempt, sequence + 1, expected)
            return tcp_answer(packet, sequence=sequence, acknowledged=expected, flags=SYN | ACK)
        connection = self._connections.get(key)
        if connection is None or packet.flags & RST:
            self._connections.pop(key, None)
            return None
        new = packet.sequence == connection.expected & 0xFFFFFFFF
        if not new or not (packet.payload or packet.flags & FIN):
            return None
        connection.expected += len(packet.payload) + (1 if packet.flags & FIN else 0)
        connection.head = (connection.head + packet.payload)[:_HEAD_BYTES]
        name = names.said(connection.head)
        connection.attempt.name = name or connection.attempt.name
        flags, sequence = ACK, connection.sequence
        if not connection.ended and (name is not None or packet.flags & FIN):
            connection.ended, connection.sequence, flags = True, sequence + 1, ACK | FIN
        return tcp_answer(packet, sequence=sequence, acknowledged=connection.expected, flags=flags)

    def _note(self, packet: Packet, protocol: str, name: str) -> Attempt:
        # while the caller waits its socket is open: look before answering
        owner = owner_of(packet)
        key = (owner.name, owner.pid, protocol, packet.address, packet.target_port, name)
        if key in self._attempts:
            self._attempts[key].count += 1
        else:
            self._attempts[key] = _attempt(owner, packet, protocol, name, time.monotonic() - self._began)
        return self._attempts[key]

    def _address_of(self, name: str) -> bytes:
        """The same for the same name, another for another, so that a later connection tells the name."""
        known = {given: address for address, given in self._addresses.items()}
        address = known.get(name) or str(IPv4Address(_FIRST_ADDRESS + len(known) % 65_000))
        self._addresses[address] = name
        return IPv4Address(address).packed


def _attempt(owner: Owner, packet: Packet, protocol: str, name: str, since_start_s: float) -> Attempt:
    process = owner.name or "unknown"
    return Attempt(process, owner.command, owner.pid, protocol, packet.address, packet.target_port, name, round(since_start_s, 1))
