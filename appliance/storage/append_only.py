"""The triggers that make the audit log append-only, as every box carries them.

Whoever holds the root key can drop them; the check of the log compares what is there with what stands here. A later change is a
migration that drops the old ones.
"""

from __future__ import annotations

_REFUSE = "BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"

TRIGGERS = {
    f"{table}_no_{verb.lower()}": f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} {_REFUSE}"
    for table in ("audit_events", "audit_resources")
    for verb in ("UPDATE", "DELETE")
} | {
    # INSERT OR REPLACE deletes without asking the triggers above; with only the next numbers let in, it finds nothing to replace
    "audit_events_gapless": "CREATE TRIGGER audit_events_gapless BEFORE INSERT ON audit_events "
    "WHEN NEW.seq <> (SELECT coalesce(max(seq), 0) + 1 FROM audit_events) OR NEW.class_seq <> "
    "(SELECT coalesce(max(class_seq), 0) + 1 FROM audit_events WHERE class_uid = NEW.class_uid) " + _REFUSE
}
"""By name, the statement that makes each."""
