"""What stands at the beginning and at the end of an archive."""

from __future__ import annotations

import msgspec

from appliance.backup.container import damaged
from appliance.backup.keys import BackupKey
from appliance.errors import InvalidInput
from appliance.storage.migrations import newest_revision

FORMAT = "cloister-backup"
VERSION = 1


class About(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`schema` is the revision of the database in it, `key` the id of the key that opens it, `made` a time in UTC."""

    format: str
    version: int
    made: str
    schema: str
    key: str


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One member."""

    name: str
    size_bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Every member but itself, in order, under a MAC with the box's key."""

    members: list[Entry]
    mac: str


class Model(msgspec.Struct, frozen=True):
    """A model of the box, whether or not its content is in the archive."""

    id: str
    sha256: str
    size_bytes: int


class BoxParts(msgspec.Struct, frozen=True):
    """The sealed member: small files that would tell of the box, and its models by digest.

    `models_manifest` is there where the models are.
    """

    settings: str | None
    policies: dict[str, str]
    models: list[Model]
    models_manifest: str | None


def read_about(content: bytes) -> About:
    """Raises `InvalidInput`: `backup.damaged`, `backup.newer`."""
    try:
        told = msgspec.json.decode(content, type=dict[str, object])
        version = told.get("version")
        if told.get("format") == FORMAT and isinstance(version, int) and version > VERSION:
            raise _newer()
        about = msgspec.json.decode(content, type=About)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise damaged("it does not begin as one") from None
    if about.format != FORMAT or about.version != VERSION:
        raise damaged("it does not begin as one")
    if about.schema > newest_revision():
        raise _newer()
    return about


def manifest_of(members: list[Entry], key: BackupKey) -> bytes:
    return msgspec.json.encode(Manifest(members, key.mac(msgspec.json.encode(members))))


def read_manifest(content: bytes) -> Manifest:
    """Raises `InvalidInput` (`backup.damaged`)."""
    try:
        return msgspec.json.decode(content, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise damaged("its list of contents cannot be read") from None


def require_whole(manifest: Manifest, found: list[Entry], key: BackupKey | None) -> None:
    """Raise `InvalidInput` unless the archive holds exactly what its manifest lists, and the manifest is the box's own."""
    if manifest.members != found:
        raise damaged("its contents are not those it lists")
    if key is not None and not key.holds(msgspec.json.encode(manifest.members), manifest.mac):
        raise damaged("its list of contents was not written by the box whose key this is")


def _newer() -> InvalidInput:
    return InvalidInput("The backup was made by a newer version of Cloister; install that one.", code="backup.newer")
