"""Checks the file that a collector made of the lines it was sent (collected.py), with nothing but the file and a key.

It holds the whole log, so there is nothing to be left out in silence: every number is there, every body has its hash, every
leaf names the one before it, and at each checkpoint the root over all leaves so far is the one that was signed. A line may come
again, since the box sends again what was not answered; it must be the same. One that differs is a log that was rewritten, or
cut and written on, and there the collector has both.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.audit.canonical import NO_PREVIOUS, leaf_hash
from appliance.audit.collected import CheckpointLine, LeafLine, read_line
from appliance.audit.completeness import counted_classes
from appliance.audit.events import EventName
from appliance.audit.matching import leaf_time_ms
from appliance.audit.notes import Checkpoint, Verifier, open_checkpoint, parse_verifier
from appliance.audit.older import Older, require_grown
from appliance.audit.tree import HASH_BYTES, Frontier
from appliance.errors import InvalidInput

_MAX_LINE_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class CollectedVerdict:
    """What held. `entries` leaves from the first on; over `after` of them, behind the newest checkpoint, there is no signature.

    `repeated` lines came again, the same. The rest as in `Verdict`.
    """

    checkpoint: Checkpoint
    note: str
    verifier: Verifier
    key_named: bool
    time: str
    entries: int
    repeated: int
    after: int
    grown_from: int | None


def is_collected(path: Path) -> bool:
    """Whether the file begins as such a file does; what cannot be read is not said here to be one."""
    try:
        with path.open("rb") as file:
            read_line(file.readline(_MAX_LINE_BYTES))
    except (OSError, ValueError):
        return False
    return True


def verify_collected(path: Path, verifier: Verifier | None = None, older: Older | None = None) -> CollectedVerdict:
    """Raises `InvalidInput`: `audit.unreadable`, `audit.other_key`, `audit.signature`, `audit.altered`, `audit.left_out`,
    `audit.not_in_tree`, `audit.rewritten`, and with `older` `audit.cut`.
    """
    walk = _Walk(verifier or (older and older.verifier) or None, older)
    number = 0
    try:
        with path.open("rb") as file:
            while line := file.readline(_MAX_LINE_BYTES):
                number += 1
                match read_line(line):
                    case LeafLine() as leaf:
                        walk.take_leaf(leaf)
                    case CheckpointLine() as signed:
                        walk.take_checkpoint(signed)
    except (OSError, ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        raise InvalidInput(
            f"Line {number} of {path.name} is neither an entry of an audit log nor a checkpoint, or was damaged on its way.",
            code="audit.unreadable",
        ) from error
    return walk.verdict(older)


class _Walk:
    """What has to be remembered from line to line: of each leaf its hash."""

    def __init__(self, named: Verifier | None, older: Older | None) -> None:
        self._verifier, self._named = named, named is not None
        self._older = older.checkpoint if older else None
        self._frontier = Frontier()
        self._hashes = bytearray()
        self._previous = NO_PREVIOUS
        self._classes: Counter[str] = Counter()
        self._last: dict[str, Any] = {}
        self._roots: dict[int, bytes] = {}
        self._newest: tuple[Checkpoint, str, str] | None = None
        self._repeated = 0

    def take_leaf(self, line: LeafLine) -> None:
        seq, size = line.seq, self._frontier.size
        body = line.body.encode()
        digest = leaf_hash(body)
        if seq < 1 or digest.hex() != line.leaf_hash:
            raise _altered(f"entry {seq} is not what was hashed")
        if seq <= size:
            if self._hashes[(seq - 1) * HASH_BYTES : seq * HASH_BYTES] != digest:
                raise InvalidInput(
                    f"It does not hold: entry {seq} came twice, and the two differ. The log was rewritten, or cut and "
                    "written on.",
                    code="audit.rewritten",
                    seq=seq,
                )
            self._repeated += 1
            return
        if seq > size + 1:
            raise _left_out(f"entry {seq} follows entry {size}" if size else f"it begins with entry {seq}")
        self._add(seq, body, digest)
        older = self._older
        if older is not None and older.size == seq and self._frontier.root() != older.root:
            raise InvalidInput(
                f"It does not hold: the first {seq} entries are not those signed over before. The log was rewritten.",
                code="audit.rewritten",
            )

    def _add(self, seq: int, body: bytes, digest: bytes) -> None:
        try:
            leaf = json.loads(body)
            said = leaf["seq"], leaf["prev"]
            self._classes[f"class_{leaf['class_uid']}"] += 1
            leaf_time_ms(leaf)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise _altered(f"entry {seq} cannot be read") from None
        if said[0] != seq:
            raise _altered(f"entry {seq} is another one")
        if said[1] != self._previous.hex():
            raise InvalidInput(
                f"It does not hold: entry {seq} does not continue the entries before it as they came. The log was rewritten on "
                "the box, or this file was.",
                code="audit.rewritten",
                seq=seq,
            )
        self._frontier.append(digest)
        self._hashes += digest
        self._previous, self._last = digest, leaf

    def take_checkpoint(self, line: CheckpointLine) -> None:
        own = parse_verifier(line.verifier_key)
        self._verifier = self._verifier or own
        if own != self._verifier:
            raise InvalidInput(f"It does not hold: it is signed with {own}, not with {self._verifier}.", code="audit.other_key")
        try:
            checkpoint = open_checkpoint(line.checkpoint, own)
        except ValueError as error:
            raise InvalidInput(
                f"It does not hold: a checkpoint in it is not as it was signed ({error}).", code="audit.signature"
            ) from None
        size = checkpoint.size
        if size in self._roots:  # it came again
            if self._roots[size] != checkpoint.root:
                raise _other_root(size)
            self._repeated += 1
            return
        if size != self._frontier.size:
            raise _left_out(f"a checkpoint over {size} entries stands behind entry {self._frontier.size}")
        if self._frontier.root() != checkpoint.root:
            raise _other_root(size)
        if self._last.get("action") != EventName.CHECKPOINT_SIGNED:
            raise _left_out(f"entry {size} should count what the checkpoint was signed over, and does not")
        if counted_classes(self._last.get("facts")) != self._classes:
            raise _left_out(f"entry {size} counts other numbers of entries than are in the file")
        self._roots[size] = checkpoint.root
        self._newest = checkpoint, line.checkpoint, str(self._last["time"])

    def verdict(self, older: Older | None) -> CollectedVerdict:
        """All lines were taken. Raises as `verify_collected` does."""
        if self._newest is None or self._verifier is None:
            raise _left_out("there is no checkpoint in it, so that nothing says who wrote it")
        checkpoint, note, time = self._newest
        if older is not None and checkpoint.size < older.checkpoint.size:
            require_grown(older.checkpoint, checkpoint, None)
        return CollectedVerdict(
            checkpoint=checkpoint,
            note=note,
            verifier=self._verifier,
            key_named=self._named,
            time=time,
            entries=self._frontier.size,
            repeated=self._repeated,
            after=self._frontier.size - checkpoint.size,
            grown_from=older.checkpoint.size if older else None,
        )


def _other_root(size: int) -> InvalidInput:
    return InvalidInput(
        f"It does not hold: the first {size} entries are not those that the checkpoint over them was signed over.",
        code="audit.not_in_tree",
    )


def _altered(what: str) -> InvalidInput:
    return InvalidInput(f"It does not hold: {what}.", code="audit.altered")


def _left_out(what: str) -> InvalidInput:
    return InvalidInput(f"It does not hold: {what}.", code="audit.left_out")
