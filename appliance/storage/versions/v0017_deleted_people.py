"""When an account was deleted, and by whom. Its row stays, without a name: what the organisation keeps refers to it."""

from __future__ import annotations

from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Nobody could delete one before."""
    op.execute("ALTER TABLE principals ADD COLUMN deleted_ms INTEGER")
    op.execute("ALTER TABLE principals ADD COLUMN deleted_by VARCHAR(64) NOT NULL DEFAULT ''")
