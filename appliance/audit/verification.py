"""Checks a bundle with nothing but the file and a key: no appliance, no data directory, no network.

What is checked against what: every body against its hash, all hashes against the root, the root against the signature, the
number of matches against the leaf in which the box recorded this export, and the numbers of leaves against the last leaf, which
counts them. A middleman can therefore change, drop, add or hide nothing. What the box itself left out while it exported is found
where the bundle shows every leaf that could match, and else rests on its word: `Verdict.completeness` says which.
"""

from __future__ import annotations

import json
from base64 import b64decode
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.audit.bundle import Header, Line, as_bytes, names_commitment, read_bundle, unreadable
from appliance.audit.canonical import commitment, leaf_hash
from appliance.audit.completeness import Completeness, Numbers, completeness
from appliance.audit.events import EventName
from appliance.audit.matching import leaf_time_ms, matches
from appliance.audit.notes import Checkpoint, Verifier, open_checkpoint, parse_verifier
from appliance.audit.older import Older, require_grown
from appliance.audit.store import AuditFilter
from appliance.audit.tree import root_from_cover
from appliance.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Verdict:
    """What held. `key_named` is false where the only key was the one in the file itself: then anybody can have made it.

    `time` is that of the checkpoint by the clock of the box; `grown_from` the size of the older checkpoint that it continues.
    `gone` counts sealed values of the matching entries that were gone when it was exported, as the box recorded.
    `wanted` is what was asked for: without it nobody knows what matches, and its `through_seq` may lie far before the checkpoint.
    """

    checkpoint: Checkpoint
    note: str
    verifier: Verifier
    key_named: bool
    time: str
    wanted: AuditFilter | None
    matching: int
    shown: int
    disclosed: int
    gone: int
    completeness: Completeness
    grown_from: int | None


def verify(path: Path, verifier: Verifier | None = None, older: Older | None = None) -> Verdict:
    """Raises `InvalidInput`: `audit.no_file`, `audit.unreadable`, `audit.other_key`, `audit.signature`, `audit.altered`,
    `audit.not_in_tree`, `audit.left_out`, and with `older` `audit.cut`, `audit.rewritten`, `audit.no_proof`.
    """
    header, lines = read_bundle(path)
    try:
        own = parse_verifier(header.verifier_key)
        hashes = as_bytes(header.hashes)
    except ValueError:
        raise unreadable(path) from None
    for named in filter(None, (verifier, older and older.verifier)):
        if named != own:
            raise InvalidInput(f"It does not hold: it is signed with {own}, not with the key named.", code="audit.other_key")
    try:
        checkpoint = open_checkpoint(header.checkpoint, own)
    except ValueError as error:
        raise InvalidInput(
            f"It does not hold: the checkpoint in it is not as it was signed ({error}).", code="audit.signature"
        ) from None
    walk = _Walk(header, checkpoint)
    for line in lines:
        walk.take(line)
    walk.finish(hashes)
    if older is not None:
        require_grown(older.checkpoint, checkpoint, header.since)
    return Verdict(
        checkpoint=checkpoint,
        note=header.checkpoint,
        verifier=own,
        key_named=verifier is not None or older is not None,
        time=str(walk.last["time"]),
        wanted=header.filter.as_filter() if header.filter else None,
        matching=walk.matching,
        shown=len(walk.places),
        disclosed=walk.disclosed,
        gone=walk.gone,
        completeness=completeness(header, checkpoint.size, walk.last.get("facts", {}), walk.numbers),
        grown_from=older.checkpoint.size if older else None,
    )


class _Walk:
    """What has to be remembered from line to line."""

    def __init__(self, header: Header, checkpoint: Checkpoint) -> None:
        self.places: list[int] = []
        self.matching = self.disclosed = self.gone = 0
        self.numbers = Numbers(header.stretch)
        self.last: dict[str, Any] = {}
        self._header, self._checkpoint = header, checkpoint
        self._wanted = header.filter.as_filter() if header.filter else None
        self._names = header.names.of if header.names else {}
        self._leaves: list[bytes] = []
        self._export: dict[str, Any] = {}

    def take(self, line: Line) -> None:
        if not (self.places[-1] if self.places else -1) < line.seq - 1 < self._checkpoint.size:
            raise _altered(f"entry {line.seq} stands where it cannot", line.seq)
        body = line.body.encode()
        digest = leaf_hash(body)
        try:
            # that this is a leaf at all is known only when the root was compared
            leaf = json.loads(body)
            leaf_time_ms(leaf)
            leaf.get("facts", {}).items()
            said = (leaf["seq"], leaf["time"], leaf["action"], digest.hex())
            match = self._wanted is not None and matches(leaf, self._wanted)
            actor_name = self._names.get(leaf["actor_pseudonym"]) if match else None
            self.numbers.take(leaf)
            opened = all(
                commitment(b64decode(each.salt, validate=True), name, each.value) == leaf["_sd"].get(name)
                for name, each in line.disclosed.items()
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise _altered(f"entry {line.seq} cannot be read", line.seq) from None
        if said != (line.seq, line.time, line.event, line.leaf_hash):
            raise _altered(f"entry {line.seq} is not what was hashed, or something else is said of it", line.seq)
        if line.actor_name != actor_name:
            raise _altered(f"who acted in entry {line.seq} is named otherwise than in the export", line.seq)
        if match != line.match:
            raise _altered(
                f"entry {line.seq} {'matches' if match else 'does not match'} the filter, and the file says otherwise", line.seq
            )
        if not opened:
            raise _altered(f"what is disclosed of entry {line.seq} is not what was sealed", line.seq)
        self.places.append(line.seq - 1)
        self._leaves.append(digest)
        self.matching += match
        self.disclosed += len(line.disclosed)
        if line.seq == self._checkpoint.size:
            self.last = leaf
        if line.seq == self._header.export_seq:
            self._export = leaf

    def finish(self, hashes: list[bytes]) -> None:
        """All lines were taken: do they make up the tree that was signed, and are they all that the box gave out?"""
        if len(self.places) != self._header.lines:
            sentence = f"of {self._header.lines} entries {len(self.places)} are in the file"
            raise InvalidInput(f"It does not hold: {sentence}.", code="audit.left_out")
        try:
            root = root_from_cover(self._checkpoint.size, self.places, self._leaves, hashes)
        except (ValueError, RecursionError):
            root = b""
        if root != self._checkpoint.root:
            raise InvalidInput(
                "It does not hold: the entries are not those of the log that the checkpoint was signed over. At least one was "
                "changed, added, removed or moved.",
                code="audit.not_in_tree",
            )
        facts = self._export.get("facts", {})
        if self.last.get("action") != EventName.CHECKPOINT_SIGNED or self._export.get("action") != EventName.AUDIT_EXPORTED:
            raise InvalidInput("It does not hold: the entries that record the export are missing.", code="audit.left_out")
        try:
            names = names_commitment(self._header.names) if self._header.names else None
        except ValueError:
            names = ""
        if names != facts.get("names"):
            raise InvalidInput("It does not hold: the names of people are not those the box exported.", code="audit.altered")
        self.gone = gone if isinstance(gone := facts.get("gone", 0), int) else 0
        if facts.get("disclosed", 0) != self.disclosed:
            raise InvalidInput("It does not hold: values that were disclosed are missing.", code="audit.left_out")
        told = {name: value for name, value in facts.items() if name.startswith("filter_")}
        if told != (self._wanted.facts() if self._wanted else {}) or facts.get("records") != self.matching:
            raise InvalidInput(
                f"It does not hold: the box recorded that {facts.get('records')!r} entries matched this export's filter, "
                f"and {self.matching} are in the file, or the filter is another.",
                code="audit.left_out",
            )


def _altered(what: str, seq: int) -> InvalidInput:
    return InvalidInput(f"It does not hold: {what}.", code="audit.altered", seq=seq)
