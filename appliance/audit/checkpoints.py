"""Signs what the log is at a moment: number of leaves and root, as a note that is worth something outside the box.

The last leaf under every checkpoint is `checkpoint.signed`, which counts the leaves of each class: what an export of one class
must come to. The key is derived from the root key. Whoever holds that can sign another log, and nobody who has kept an older
checkpoint will take it for this one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, func, insert, select

from appliance.audit.blocks import BLOCK_LEAVES, StoredTree, extend, rewritten
from appliance.audit.classes import classify
from appliance.audit.events import AuditEvent, EventName
from appliance.audit.log import AuditLog
from appliance.audit.notes import Checkpoint, Verifier, open_checkpoint, signed_note, verifier_of
from appliance.audit.tree import tree_root
from appliance.errors import Unavailable
from appliance.identity.models import SYSTEM
from appliance.storage.database import Database
from appliance.storage.tables import audit_blocks, audit_checkpoints, audit_events

_CLASS = classify(EventName.CHECKPOINT_SIGNED).class_uid
_BLOCKS_AT_ONCE = 40  # about a tenth of a second with the write lock, where a long log comes under its first checkpoint
_LATE_MS = 2 * 3_600_000


class Occasion(StrEnum):
    """Why a checkpoint is signed."""

    EXPORT = "export"
    HOUR = "hour"
    START = "start"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A checkpoint as it was signed; `time_ms` is that of its last leaf."""

    checkpoint: Checkpoint
    note: str
    time_ms: int


class Checkpoints:
    """The checkpoints of one box."""

    def __init__(self, database: Database, audit: AuditLog, signing_key: bytes) -> None:
        self._database = database
        self._audit = audit
        self._key = Ed25519PrivateKey.from_private_bytes(signing_key)
        self.verifier: Verifier = verifier_of(self._key)

    def sign(self, occasion: Occasion, progress: Callable[[int], None] = lambda _: None) -> SignedCheckpoint:
        """Over the log as it is, after a leaf that counts. `progress` is told how many entries a long one has come to so far.

        Raises `Unavailable` (`audit.rewritten`) rather than contradict the checkpoint before.
        """
        more = True
        while more:
            with self._database.write() as connection:
                more = extend(connection, _BLOCKS_AT_ONCE)
                reached = connection.execute(select(func.count()).select_from(audit_blocks)).scalar_one() * BLOCK_LEAVES
            if more:
                progress(reached)
        with self._database.write() as connection:
            previous = self._latest(connection)
            size = self._count(connection, occasion)
            extend(connection, _BLOCKS_AT_ONCE)
            tree = StoredTree(connection)
            if previous is not None and (
                size <= previous.checkpoint.size or tree_root(previous.checkpoint.size, tree.perfect) != previous.checkpoint.root
            ):
                raise rewritten()
            made = Checkpoint(self.verifier.name, size, tree_root(size, tree.perfect))
            note = signed_note(made.text(), self._key, self.verifier)
            connection.execute(insert(audit_checkpoints), {"size": size, "note": note})
            return SignedCheckpoint(made, note, _time_ms(connection, size))

    def hourly(self) -> int:
        """One more, even where nothing has happened: that is a statement, too."""
        return self.sign(Occasion.HOUR).checkpoint.size

    def latest(self) -> SignedCheckpoint | None:
        """The newest, None where none was signed yet. Raises `Unavailable` (`audit.checkpoint_altered`)."""
        with self._database.read() as connection:
            return self._latest(connection)

    def late_since(self, now_ms: int) -> int | None:
        """Where a box that runs should long have signed: the time of its last checkpoint, or of its first entry without one.

        One is due every hour. Raises as `latest` does.
        """
        with self._database.read() as connection:
            signed = self._latest(connection)
            since = signed.time_ms if signed else _time_ms(connection, 1)
        return since if 0 < since < now_ms - _LATE_MS else None

    def _count(self, connection: Connection, occasion: Occasion) -> int:
        counts = class_counts(connection)
        own = f"class_{_CLASS}"
        facts: dict[str, str | int] = {f"class_{uid}": count for uid, count in counts.items()}
        facts |= {own: counts.get(_CLASS, 0) + 1, "occasion": str(occasion)}
        return self._audit.append(connection, AuditEvent(EventName.CHECKPOINT_SIGNED, SYSTEM, facts=facts))

    def _latest(self, connection: Connection) -> SignedCheckpoint | None:
        found = connection.execute(select(audit_checkpoints).order_by(audit_checkpoints.c.size.desc()).limit(1)).first()
        if found is None:
            return None
        try:
            checkpoint = open_checkpoint(found.note, self.verifier)
        except ValueError as error:
            raise Unavailable(f"The last checkpoint was altered: {error}.", code="audit.checkpoint_altered") from None
        return SignedCheckpoint(checkpoint, found.note, _time_ms(connection, checkpoint.size))


def class_counts(connection: Connection) -> dict[int, int]:
    """How many leaves each class has; a look into an index for each class, however long the log."""
    counts: dict[int, int] = {}
    uid, of = -1, audit_events.c
    while True:
        following = connection.execute(select(func.min(of.class_uid)).where(of.class_uid > uid)).scalar()
        if following is None:
            return counts
        uid = following
        counts[uid] = connection.execute(select(func.max(of.class_seq)).where(of.class_uid == uid)).scalar_one()


def _time_ms(connection: Connection, size: int) -> int:
    return connection.execute(select(audit_events.c.time_ms).where(audit_events.c.seq == size)).scalar() or 0
