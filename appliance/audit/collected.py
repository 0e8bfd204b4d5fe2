"""The lines in which the log goes to a collector: leaves, and behind the last leaf under a checkpoint that checkpoint. Pure.

What the collector makes by appending them is a file that proves itself (collected_check.py); docs/audit-format.md describes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from sqlalchemy import Row

FORMAT = "cloister-audit-lines/1"


class LeafLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One leaf. `body` is what was hashed, byte for byte; `seq` and `leaf_hash` (hexadecimal) repeat it."""

    seq: int
    leaf_hash: str
    body: str


class CheckpointLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A signed checkpoint over the leaf before it and all before that, with the key to know it by."""

    format: str
    verifier_key: str
    checkpoint: str


class Piece(msgspec.Struct, frozen=True):
    """What one request holds, and the last leaf in it."""

    body: bytes
    last_seq: int


def written(
    rows: Sequence[Row[tuple[int, bytes, bytes]]], notes: Mapping[int, str], verifier_key: str, limit_bytes: int
) -> Piece:
    """As many leaves as fit, at least one; `rows` are (seq, leaf hash, body), `notes` the checkpoints by their size."""
    lines: list[bytes] = []
    length, last_seq = 0, 0
    for seq, digest, body in rows:
        made = [msgspec.json.encode(LeafLine(seq, digest.hex(), body.decode()))]
        if seq in notes:
            made.append(msgspec.json.encode(CheckpointLine(FORMAT, verifier_key, notes[seq])))
        length += sum(len(line) + 1 for line in made)
        if lines and length > limit_bytes:
            break
        lines += made
        last_seq = seq
    return Piece(b"".join(line + b"\n" for line in lines), last_seq)


def read_line(line: bytes) -> LeafLine | CheckpointLine:
    """Raises `ValueError` (of which msgspec's errors are a kind) for what is neither."""
    try:
        return msgspec.json.decode(line, type=LeafLine)
    except msgspec.ValidationError:
        found = msgspec.json.decode(line, type=CheckpointLine)
    if found.format != FORMAT:
        raise ValueError("lines of another version")
    return found
