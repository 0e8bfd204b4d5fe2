"""When a collection was deleted, and by whom. Its row stays: no other one may ever get its number, by which the index goes."""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Nobody could delete one before."""
    op.execute("ALTER TABLE collections ADD COLUMN deleted_ms INTEGER")
    op.execute("ALTER TABLE collections ADD COLUMN deleted_by VARCHAR(64) NOT NULL DEFAULT ''")
