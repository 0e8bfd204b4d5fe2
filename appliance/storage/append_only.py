"""The triggers that make the audit log append-only, as every box carries them.

Whoever holds the root key can drop them; the check of the log compares what is there with what stands here. A later change is a
migration that drops the old ones.
"""

from __future__ import annotations

_REFUSE = "BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"

FIRST_TRIGGERS = {
    f"{table}_no_{verb.lower()}": f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} {_REFUSE}"
    for table in ("audit_events", "audit_resources")
    for verb in ("UPDATE", "DELETE")
} | {
    # INSERT OR REPLACE deletes without asking the triggers above; with only the next numbers let in, it finds nothing to replace
    "audit_events_gapless": "CREATE TRIGGER audit_events_gapless BEFORE INSERT ON audit_events "
    "WHEN NEW.seq <> (SELECT coalesce(max(seq), 0) + 1 FROM audit_events) OR NEW.class_seq <> "
    "(SELECT coalesce(max(class_seq), 0) + 1 FROM audit_events WHERE class_uid = NEW.class_uid) " + _REFUSE
}
"""Of the log itself; by name, the statement that makes each."""

CHECKPOINT_TRIGGERS = {
    f"{table}_no_{verb.lower()}": f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} {_REFUSE}"
    for table in ("audit_blocks", "audit_checkpoints")
    for verb in ("UPDATE", "DELETE")
} | {
    f"{table}_{rule}": f"CREATE TRIGGER {table}_{rule} BEFORE INSERT ON {table} WHEN {wrong} {_REFUSE}"
    for table, rule, wrong in (
        ("audit_blocks", "gapless", "NEW.number <> (SELECT coalesce(max(number), -1) + 1 FROM audit_blocks)"),
        ("audit_checkpoints", "growing", "NEW.size <= (SELECT coalesce(max(size), 0) FROM audit_checkpoints)"),
    )
}
"""Of the tree over it, since revision 0016."""

SEALED_TRIGGERS = {
    "audit_sealed_no_update": f"CREATE TRIGGER audit_sealed_no_update BEFORE UPDATE ON audit_sealed {_REFUSE}",
    # beside a leaf of its own and not later; INSERT OR REPLACE then has nothing old to replace
    "audit_sealed_newest": "CREATE TRIGGER audit_sealed_newest BEFORE INSERT ON audit_sealed "
    f"WHEN NEW.seq <> (SELECT max(seq) FROM audit_events) {_REFUSE}",
    # a value goes only where the newest leaf, written in the same transaction, says that this person's values were erased
    "audit_sealed_told": "CREATE TRIGGER audit_sealed_told BEFORE DELETE ON audit_sealed WHEN NOT EXISTS (SELECT 1 FROM "
    "audit_events JOIN audit_resources USING (seq) WHERE audit_events.seq = (SELECT max(seq) FROM audit_events) "
    f"AND event = 'audit.erased' AND kind = 'person' AND resource_id = OLD.subject) {_REFUSE}",
}
"""Of the sealed values beside it, since revision 0018."""

TRIGGERS = FIRST_TRIGGERS | CHECKPOINT_TRIGGERS | SEALED_TRIGGERS
