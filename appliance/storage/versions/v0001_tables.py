"""The first tables, and the triggers that make the audit log append-only."""

from __future__ import annotations

from pathlib import Path

from alembic import op

from appliance.storage.append_only import FIRST_TRIGGERS

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables of `v0001_tables.sql`."""
    for statement in Path(__file__).with_suffix(".sql").read_text().split(";\n"):
        op.execute(statement)
    for trigger in FIRST_TRIGGERS.values():
        op.execute(trigger)
