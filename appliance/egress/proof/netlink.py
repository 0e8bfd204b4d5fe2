"""Addresses, routes and interfaces through rtnetlink(7): a box need not have the program `ip`."""

from __future__ import annotations

import os
import socket
import struct
from ipaddress import IPv4Address, IPv6Address

_NEW_LINK, _NEW_ADDRESS, _NEW_ROUTE, _ERROR = 16, 20, 24, 2
_REQUEST, _ACKNOWLEDGE, _CREATE = 1, 4, 0x400
_UP = 1
_ADDRESS, _LOCAL = 1, 2  # attributes of an address
_INTERFACE, _PREFERRED_SOURCE = 4, 7  # attributes of a route
_NO_DETECTION = 2  # an IPv6 address is used at once, without asking the neighbours whether it is taken
_MAIN_TABLE, _STATIC, _SCOPE_LINK, _SCOPE_GLOBAL, _UNICAST = 254, 4, 253, 0, 1

Address = IPv4Address | IPv6Address


def raise_interface(name: str) -> None:
    """Raises `OSError`, as all of these do where the kernel refuses."""
    _ask(_NEW_LINK, struct.pack("=BxHiII", socket.AF_UNSPEC, 0, socket.if_nametoindex(name), _UP, _UP), {})


def add_address(name: str, address: Address) -> None:
    """Give the interface an address of its own, with no network around it."""
    body = struct.pack("=BBBBI", _family(address), address.max_prefixlen, _NO_DETECTION, 0, socket.if_nametoindex(name))
    _ask(_NEW_ADDRESS, body, {_ADDRESS: address.packed, _LOCAL: address.packed})


def add_default_route(name: str, source: Address) -> None:
    """Everything that has no better way goes out through the interface, from `source`."""
    scope = _SCOPE_LINK if source.version == 4 else _SCOPE_GLOBAL
    body = struct.pack("=BBBBBBBBI", _family(source), 0, 0, 0, _MAIN_TABLE, _STATIC, scope, _UNICAST, 0)
    _ask(_NEW_ROUTE, body, {_INTERFACE: struct.pack("=I", socket.if_nametoindex(name)), _PREFERRED_SOURCE: source.packed})


def _family(address: Address) -> int:
    return socket.AF_INET if address.version == 4 else socket.AF_INET6


def _ask(kind: int, body: bytes, attributes: dict[int, bytes]) -> None:
    content = body + b"".join(_attribute(number, value) for number, value in attributes.items())
    header = struct.pack("=IHHII", 16 + len(content), kind, _REQUEST | _ACKNOWLEDGE | _CREATE, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel:
        kernel.send(header + content)
        answer = kernel.recv(8_192)
    answered, number = struct.unpack_from("=H", answer, 4)[0], struct.unpack_from("=i", answer, 16)[0]
    if answered == _ERROR and number:
        raise OSError(-number, os.strerror(-number))


def _attribute(number: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), number) + value + bytes(-len(value) % 4)
