"""How long conversations and documents stay; nothing is removed by its age before somebody says so."""

from __future__ import annotations

from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    """No number is set at first, and the clock is looked at with the next care."""
    op.execute(
        "CREATE TABLE retention (subject VARCHAR(64) NOT NULL, days INTEGER, days_before INTEGER, effective_ms INTEGER NOT NULL, "
        "PRIMARY KEY (subject), CHECK (days BETWEEN 1 AND 36500), CHECK (days_before BETWEEN 1 AND 36500))"
    )
    op.execute(
        "CREATE TABLE retention_clock (id INTEGER NOT NULL, believed_ms INTEGER NOT NULL, wall_ms INTEGER NOT NULL, "
        "boot_id VARCHAR(64) NOT NULL, mono_ms INTEGER NOT NULL, waited_ms INTEGER NOT NULL, PRIMARY KEY (id), CHECK (id = 1))"
    )
    op.execute("CREATE INDEX conversations_by_age ON conversations (updated_ms)")
    op.execute("CREATE INDEX documents_by_age ON documents (collection_id, uploaded_ms)")
