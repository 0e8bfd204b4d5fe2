"""Where all packets arrive that leave the processes under proof: a tunnel, or loopback itself where there are no tunnels.

Both give whole IP packets and take answers. Nothing is behind them: what arrives here goes nowhere.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Protocol

from appliance.egress.proof.netlink import Address, add_address, add_default_route, raise_interface

OWN_ADDRESS = "198.18.0.1"
"""Ours and all others here come from the network set aside for measurements (RFC 2544)."""

_OWN_ADDRESS_6 = "fd00:c101::1"
_DEVICE = Path("/dev/net/tun")
_NAME = "outside"
_MAKE_TUNNEL, _TUNNEL, _WITHOUT_HEADER = 0x400454CA, 1, 0x1000  # linux/if_tun.h
_PACKET_BYTES = 65_536
_ALL_PROTOCOLS = 3
_ETHERNET = {4: 0x0800, 6: 0x86DD}


class Wire(Protocol):
    """`read` gives None where nothing waits. `ipv6` says whether that has a way here, too."""

    interface: str
    ipv6: bool

    def fileno(self) -> int: ...

    def read(self) -> bytes | None: ...

    def write(self, packet: bytes) -> None: ...

    def close(self) -> None: ...


class Tunnel:
    """A network interface whose other end is this process (/dev/net/tun)."""

    interface = _NAME

    def __init__(self) -> None:
        """Raises `OSError` where the kernel has none, or gives us none."""
        self._descriptor = os.open(_DEVICE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            wanted = struct.pack("=16sH22x", _NAME.encode(), _TUNNEL | _WITHOUT_HEADER)
            fcntl.ioctl(self._descriptor, _MAKE_TUNNEL, wanted)
            raise_interface(_NAME)
            _address(_NAME, ip_address(OWN_ADDRESS))
        except OSError:
            self.close()
            raise
        self.ipv6 = _tried(lambda: _address(_NAME, ip_address(_OWN_ADDRESS_6)))

    def fileno(self) -> int:
        return self._descriptor

    def read(self) -> bytes | None:
        try:
            return os.read(self._descriptor, _PACKET_BYTES)
        except BlockingIOError:
            return None

    def write(self, packet: bytes) -> None:
        os.write(self._descriptor, packet)

    def close(self) -> None:
        os.close(self._descriptor)


class Loopback:
    """Packets that go out of the loopback interface and come back for nobody: a raw socket hears them, and can answer."""

    interface = "lo"
    ipv6 = False  # the kernel takes no such route

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ALL_PROTOCOLS))
        self._socket.setblocking(False)
        self._socket.bind((self.interface, _ALL_PROTOCOLS))
        self._own = ip_address(OWN_ADDRESS).packed
        _address(self.interface, ip_address(OWN_ADDRESS))

    def fileno(self) -> int:
        return self._socket.fileno()

    def read(self) -> bytes | None:
        while True:
            try:
                packet, (_, _, direction, *_) = self._socket.recvfrom(_PACKET_BYTES)
            except BlockingIOError:
                return None
            stays = packet[16:17] == b"\x7f" or packet[16:20] == self._own
            if direction == socket.PACKET_OUTGOING and packet[:1] and packet[0] >> 4 == 4 and not stays:
                return packet

    def write(self, packet: bytes) -> None:
        self._socket.sendto(packet, (self.interface, _ETHERNET[packet[0] >> 4], 0, 0, bytes(6)))

    def close(self) -> None:
        self._socket.close()


def make_wire() -> Wire:
    """For a network namespace of our own, with loopback up. Raises `OSError`."""
    try:
        return Tunnel()
    except OSError as error:
        if error.errno not in {errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.EPERM, errno.EACCES}:
            raise
    return Loopback()


def _address(interface: str, address: Address) -> None:
    add_address(interface, address)
    add_default_route(interface, address)


def _tried(act: Callable[[], None]) -> bool:
    try:
        act()
    except OSError:  # a kernel, or a machine, without IPv6
        return False
    return True
