"""The first tables, and the triggers that make the audit log append-only."""

from __future__ import annotations

from alembic import op

from appliance.storage.tables import metadata

revision = "0001"
down_revision = None

_APPEND_ONLY = ("audit_events", "audit_resources")


def upgrade() -> None:
    """Create everything in `tables.py`."""
    metadata.create_all(op.get_bind())
    for table in _APPEND_ONLY:
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                "BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
            )
