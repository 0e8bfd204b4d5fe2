"""How sensitive each collection is, and which decision chose the model of each answer."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Collections that are there already are "internal"; answers that are there already have no decision."""
    op.execute("ALTER TABLE collections ADD COLUMN classification VARCHAR(40) NOT NULL DEFAULT 'internal'")
    op.execute("ALTER TABLE messages ADD COLUMN selection TEXT NOT NULL DEFAULT ''")
