"""A network with nothing but loopback and a view without the sockets of host services, made once and joined by each process.

Made as root, or through a user namespace that maps our ids onto themselves, so that files keep their owners. The maker is a
child that ends at once: descriptors keep the namespaces, and the supervisor itself stays outside.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from appliance.egress.seal import calls
from appliance.egress.seal.covers import cover, freeze

_WORDS_BYTES = 500
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1  # netdevice(7)


@dataclass(frozen=True, slots=True)
class Namespace:
    """Descriptors for `join`. `problem` is what kept the sockets of host services from being covered, empty where nothing did."""

    network: int
    mounts: int
    user: int | None
    problem: str

    def join(self) -> None:
        """Enter; for a child, between fork and exec. Raises `OSError`. The working directory is `/` afterwards."""
        if self.user is not None:
            calls.setns(self.user, calls.CLONE_NEWUSER)
        calls.setns(self.network, calls.CLONE_NEWNET)
        calls.setns(self.mounts, calls.CLONE_NEWNS)

    def close(self) -> None:
        for descriptor in (self.network, self.mounts, self.user):
            if descriptor is not None:
                os.close(descriptor)


def make_namespace(kept: Iterable[Path], frozen: Iterable[Path] = ()) -> Namespace:
    """A new one; paths in `kept` stay visible, files in `frozen` stay as they are. Raises `OSError` where the kernel refuses.

    The caller has no other thread.
    """
    ours, theirs = socket.socketpair()
    with ours:
        child = os.fork()
        if child == 0:
            _make(theirs, kept, frozen)
        theirs.close()
        try:
            words, descriptors, _, _ = socket.recv_fds(ours, _WORDS_BYTES, 3)
        finally:
            os.waitpid(child, 0)
    if not descriptors:
        raise OSError(words.decode() or "the process that makes the namespace died")
    network, mounts, *user = descriptors
    return Namespace(network, mounts, user[0] if user else None, words.decode()[1:])


def _make(answer: socket.socket, kept: Iterable[Path], frozen: Iterable[Path]) -> None:
    code = 1
    try:
        code = _answer(answer, kept, frozen)
    finally:
        os._exit(code)


def _answer(answer: socket.socket, kept: Iterable[Path], frozen: Iterable[Path]) -> int:
    try:
        through_user = leave()
        raise_loopback()
    except OSError as error:
        answer.send(_words(error).encode()[:_WORDS_BYTES])
        return 1
    problem = ""
    try:
        cover(kept)
        for file in frozen:
            freeze(file)
    except OSError as error:
        problem = _words(error)
    names = ("net", "mnt", "user") if through_user else ("net", "mnt")
    descriptors = [os.open(f"/proc/self/ns/{name}", os.O_RDONLY) for name in names]
    socket.send_fds(answer, [b"-" + problem.encode()[: _WORDS_BYTES - 1]], descriptors)
    return 0


def leave() -> bool:
    """Into new namespaces; whether that took a user namespace."""
    wanted = calls.CLONE_NEWNET | calls.CLONE_NEWNS
    if os.geteuid() == 0:
        try:
            calls.unshare(wanted)
        except PermissionError:  # root of a container
            pass
        else:
            return False
    user, group = os.geteuid(), os.getegid()
    calls.unshare(calls.CLONE_NEWUSER | wanted)
    calls.set_dumpable()
    # user_namespaces(7): who maps only themselves needs no privilege, once setgroups(2) is given up
    for name, line in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        Path(f"/proc/self/{name}").write_text(line)
    return True


def _words(error: OSError) -> str:
    return error.strerror or str(error)


def raise_loopback() -> None:
    """A new network namespace has a loopback interface that is down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("=16sh14x", b"lo", _IFF_UP))
