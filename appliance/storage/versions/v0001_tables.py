"""The first tables, and the triggers that make the audit log append-only."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None

_APPEND_ONLY = ("audit_events", "audit_resources")


def upgrade() -> None:
    """Create the tables of `v0001_tables.sql`."""
    for statement in Path(__file__).with_suffix(".sql").read_text().split(";\n"):
        op.execute(statement)
    for table in _APPEND_ONLY:
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                "BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
            )
    # INSERT OR REPLACE deletes without asking the triggers above; with only the next numbers let in, it finds nothing to replace
    op.execute(
        "CREATE TRIGGER audit_events_gapless BEFORE INSERT ON audit_events "
        "WHEN NEW.seq <> (SELECT coalesce(max(seq), 0) + 1 FROM audit_events) OR NEW.class_seq <> "
        "(SELECT coalesce(max(class_seq), 0) + 1 FROM audit_events WHERE class_uid = NEW.class_uid) "
        "BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
    )
