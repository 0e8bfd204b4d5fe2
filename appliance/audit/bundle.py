"""The export that proves itself: one file of JSON lines, a header and then records. Written by the box, read by anybody. Pure.

docs/audit-format.md describes it for whoever writes a verifier of their own.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterator
from pathlib import Path

import msgspec

from appliance.audit.canonical import canonical_json, commitment
from appliance.audit.events import EventName, Outcome, ResourceRef
from appliance.audit.store import AuditFilter
from appliance.audit.tree import HASH_BYTES
from appliance.errors import InvalidInput

FORMAT = "cloister-audit-bundle/1"
_MAX_HEADER_BYTES = 512_000_000
_MAX_LINE_BYTES = 1_000_000


class Wanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The filter of an export, as `AuditFilter` has it."""

    since_ms: int | None = None
    until_ms: int | None = None
    person: str | None = None
    event: EventName | None = None
    outcome: Outcome | None = None
    resource: ResourceRef | None = None
    through_seq: int | None = None

    @classmethod
    def of(cls, wanted: AuditFilter) -> Wanted:
        return cls(
            wanted.since_ms,
            wanted.until_ms,
            wanted.pseudonym,
            wanted.event,
            wanted.outcome,
            wanted.resource,
            wanted.through_seq,
        )

    def as_filter(self) -> AuditFilter:
        return AuditFilter(self.since_ms, self.until_ms, self.person, self.event, self.outcome, self.resource, self.through_seq)


class Stretch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Numbers of which every leaf is in the bundle, matching or not: `class_seq` of a class, or `seq` where that is None."""

    class_uid: int | None
    first: int
    last: int


class Since(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The proof that the log has only grown since it had `size` leaves; hashes in base64."""

    size: int
    hashes: list[str]


class Names(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who acted in the leaves that match, as of the day of the export; committed to in its leaf with this salt (base64)."""

    salt: str
    of: dict[str, str]


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The first line. `export_seq` is the number of the leaf that records this very export; `lines` counts what follows."""

    format: str
    verifier_key: str
    checkpoint: str
    filter: Wanted | None
    export_seq: int
    stretch: Stretch | None
    since: Since | None
    names: Names | None
    lines: int
    hashes: list[str]


class Disclosed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A sealed value that was opened for the export; the salt in base64."""

    salt: str
    value: str


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One leaf. `body` is what was hashed; `seq`, `time`, `event`, `leaf_hash` repeat it, `actor_name` that of the header."""

    seq: int
    match: bool
    time: str
    event: str
    actor_name: str | None
    leaf_hash: str
    body: str
    disclosed: dict[str, Disclosed] = {}


def encoded(item: Header | Line) -> bytes:
    return msgspec.json.encode(item) + b"\n"


def names_commitment(names: Names) -> str:
    """As for sealed values, of the canonical object. Raises `ValueError` for a salt that is no base64."""
    return commitment(b64decode(names.salt, validate=True), "names", canonical_json(names.of).decode())


def as_text(hashes: list[bytes]) -> list[str]:
    return [b64encode(each).decode() for each in hashes]


def as_bytes(hashes: list[str]) -> list[bytes]:
    """Raises `ValueError` for what is no hash in base64.

    The length matters: whoever may sign roots of their own choosing could part the bytes under a node elsewhere than after 32,
    and so prove that a rewritten log continues the one of before.
    """
    found = [b64decode(each, validate=True) for each in hashes]
    if any(len(each) != HASH_BYTES for each in found):
        raise ValueError("a hash of another length")
    return found


def read_bundle(path: Path) -> tuple[Header, Iterator[Line]]:
    """Header, and the lines as they are asked for. Raises `InvalidInput`: `audit.no_file`, `audit.unreadable`."""
    lines = _decoded(path)
    header = next(lines, None)
    if not isinstance(header, Header) or header.format != FORMAT:
        raise unreadable(path)
    return header, (line for line in lines if isinstance(line, Line))


def _decoded(path: Path) -> Iterator[Header | Line]:
    try:
        with path.open("rb") as file:
            yield msgspec.json.decode(file.readline(_MAX_HEADER_BYTES), type=Header)
            decoder = msgspec.json.Decoder(Line)
            while line := file.readline(_MAX_LINE_BYTES):
                yield decoder.decode(line)
    except FileNotFoundError:
        raise InvalidInput(f"There is no file {path}.", code="audit.no_file") from None
    except (OSError, ValueError) as error:  # msgspec's errors are ValueErrors
        raise unreadable(path) from error


def unreadable(path: Path) -> InvalidInput:
    return InvalidInput(
        f"{path.name} is no bundle of an audit log, or was damaged on its way, or comes from a newer version.",
        code="audit.unreadable",
    )
