"""An older checkpoint that somebody kept, and whether a newer one continues it. What no check of one file can see, this sees."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from appliance.audit.bundle import Since, as_bytes
from appliance.audit.notes import MAX_NOTE_CHARS, Checkpoint, Verifier, open_checkpoint, parse_verifier
from appliance.audit.tree import consistent
from appliance.errors import InvalidInput

_MAX_LINE_BYTES = 512_000_000


@dataclass(frozen=True, slots=True)
class Older:
    """A checkpoint, and the key it was signed with; `format` is that of the file, empty for a bare checkpoint."""

    checkpoint: Checkpoint
    verifier: Verifier
    format: str = ""


def load_older(path: Path, verifier: Verifier | None = None) -> Older:
    """Of an earlier bundle, of a witness's memory, or a bare checkpoint, for which the key has to be named.

    Raises `InvalidInput`: `audit.no_file`, `audit.unreadable`, `audit.other_key`, `audit.key_unnamed`, `audit.signature`.
    """
    found = ""
    try:
        with path.open("rb") as file:
            first = file.readline(_MAX_LINE_BYTES)
            note = (first + file.read(MAX_NOTE_CHARS)).decode() if not first.startswith(b"{") else ""
        if not note:
            document = json.loads(first)
            found = str(document.get("format", ""))
            note, own = str(document["checkpoint"]), parse_verifier(str(document["verifier_key"]))
            if verifier not in {None, own}:
                raise InvalidInput(f"{path.name} is of another log, signed with {own}.", code="audit.other_key")
            verifier = own
    except FileNotFoundError:
        raise InvalidInput(f"There is no file {path}.", code="audit.no_file") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidInput(f"{path.name} holds no checkpoint.", code="audit.unreadable") from error
    if verifier is None:
        raise InvalidInput("A bare checkpoint does not say whose it is; name the key with --key.", code="audit.key_unnamed")
    try:
        return Older(open_checkpoint(note, verifier), verifier, found)
    except ValueError as error:
        raise InvalidInput(f"{path.name} does not hold: {error}.", code="audit.signature") from None


def require_grown(older: Checkpoint, newer: Checkpoint, since: Since | None) -> None:
    """Raises `InvalidInput`: `audit.cut`, `audit.rewritten`, `audit.no_proof`."""
    if newer.size < older.size:
        raise InvalidInput(
            f"It does not hold: {older.size} entries were signed over before, and this is signed over {newer.size}. The log was "
            "cut, or this is the older of the two.",
            code="audit.cut",
        )
    if newer.size > older.size and (since is None or since.size != older.size):
        raise InvalidInput(
            f"Whether the log continues what was signed over {older.size} entries cannot be said: the proof of it is not in this "
            f"file. Export it with --since {older.size}.",
            code="audit.no_proof",
        )
    try:
        proof = [] if since is None or newer.size == older.size else as_bytes(since.hashes)
    except ValueError:
        proof = []
    if not consistent(older.size, older.root, newer.size, newer.root, proof):
        raise InvalidInput(
            f"It does not hold: the first {older.size} entries are not those signed over before. The log was rewritten.",
            code="audit.rewritten",
        )
