"""Which model a person chose by hand for a conversation."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """In the conversations that are there already nobody chose."""
    op.execute("ALTER TABLE conversations ADD COLUMN chosen_model VARCHAR(200) NOT NULL DEFAULT ''")
