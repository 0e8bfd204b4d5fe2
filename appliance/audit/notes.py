"""Checkpoints as C2SP signed notes: a few lines of text that anybody can verify with the verifier key and nothing else.

The formats are those of c2sp.org/signed-note and c2sp.org/tlog-checkpoint, with Ed25519 signatures. Pure.
"""

from __future__ import annotations

import binascii
import hashlib
from base64 import b64decode, b64encode
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from appliance.audit.tree import HASH_BYTES

MAX_NOTE_CHARS = 16_000
_ED25519 = b"\x01"
_ID_BYTES = 4
_MAX_SIZE = 2**53 - 1
_SIGNATURE_MARK = "\u2014 "


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The log at one moment: how many leaves, and the root over them. `origin` tells logs apart."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """What is signed."""
        return f"{self.origin}\n{self.size}\n{b64encode(self.root).decode()}\n"


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key with the name it signs under."""

    name: str
    public: bytes

    @property
    def key_id(self) -> bytes:
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.public).digest()[:_ID_BYTES]

    def __str__(self) -> str:
        """The verifier key as people copy it: `name+id+key`."""
        return f"{self.name}+{self.key_id.hex()}+{b64encode(_ED25519 + self.public).decode()}"


def verifier_of(key: Ed25519PrivateKey) -> Verifier:
    """The verifier of a box's key; the name is made of the key, so no two boxes share one."""
    public = key.public_key().public_bytes_raw()
    return Verifier(f"cloister/audit/{hashlib.sha256(public).hexdigest()[:16]}", public)


def parse_verifier(text: str) -> Verifier:
    """Raises `ValueError` for what is no verifier key, or one with a slip in it."""
    name, key_id, key, *_ = [*text.strip().split("+", 2), "", ""]
    try:
        public = b64decode(key, validate=True)
    except ValueError:
        public = b""
    verifier = Verifier(name, public[1:])
    # the name is shown to people, and a terminal obeys what is not printable
    plain = name.isascii() and name.isprintable() and name.split() == [name]
    if not plain or public[:1] != _ED25519 or len(verifier.public) != HASH_BYTES:
        raise ValueError("one for Ed25519 is written name+id+key")
    if verifier.key_id.hex() != key_id.lower():
        raise ValueError("the verifier key was not copied right")
    return verifier


def signed_note(text: str, key: Ed25519PrivateKey, verifier: Verifier) -> str:
    """`text`, which ends its last line, with the signature under it."""
    signature = b64encode(verifier.key_id + key.sign(text.encode())).decode()
    return f"{text}\n{_SIGNATURE_MARK}{verifier.name} {signature}\n"


def open_note(note: str | bytes, verifier: Verifier) -> str:
    """The text, if `verifier` signed it; other signatures below it do not matter.

    Raises `ValueError`, also for bytes: what a row of text holds is the word of whoever wrote it.
    """
    if isinstance(note, bytes):
        raise ValueError("no signed note")  # noqa: TRY004 - as for all that is none
    text, separator, signatures = note.rpartition("\n\n")
    if len(note) > MAX_NOTE_CHARS or not separator or not note.endswith("\n"):
        raise ValueError("no signed note")
    text += "\n"
    for line in signatures.splitlines():
        name, _, value = line.removeprefix(_SIGNATURE_MARK).partition(" ")
        if not line.startswith(_SIGNATURE_MARK) or name != verifier.name:
            continue
        signature = b64decode(value, validate=True)
        if signature[:_ID_BYTES] == verifier.key_id:
            try:
                Ed25519PublicKey.from_public_bytes(verifier.public).verify(signature[_ID_BYTES:], text.encode())
            except InvalidSignature:
                raise ValueError("the signature does not hold") from None
            return text
    raise ValueError("it is not signed with this key")


def open_checkpoint(note: str | bytes, verifier: Verifier) -> Checkpoint:
    """The checkpoint in a note that `verifier` signed. Raises `ValueError`."""
    origin, size, root, *_ = [*open_note(note, verifier).split("\n"), "", ""]
    try:
        found = Checkpoint(origin, int(size), b64decode(root, validate=True))
    except (ValueError, binascii.Error):
        raise ValueError("it is signed, but no checkpoint") from None
    if origin != verifier.name or size != str(found.size) or not 0 < found.size <= _MAX_SIZE or len(found.root) != HASH_BYTES:
        raise ValueError("it is signed, but no checkpoint of this log")
    return found
