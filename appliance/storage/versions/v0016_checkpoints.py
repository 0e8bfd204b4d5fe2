"""The tree over the audit log and its signed checkpoints. What is in the log already comes under the first of them."""

from __future__ import annotations

from alembic import op

from appliance.storage.append_only import CHECKPOINT_TRIGGERS

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Create both tables, empty. `audit/checkpoints.py` fills them, in steps: a long log takes a while."""
    op.execute("CREATE TABLE audit_blocks (number INTEGER NOT NULL, root BLOB NOT NULL, PRIMARY KEY (number))")
    op.execute("CREATE TABLE audit_checkpoints (size INTEGER NOT NULL, note TEXT NOT NULL, PRIMARY KEY (size))")
    for trigger in CHECKPOINT_TRIGGERS.values():
        op.execute(trigger)
