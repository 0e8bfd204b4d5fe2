"""People whose account and sealed values must stay; and no sealed value of the audit log goes without a leaf that says so."""

from __future__ import annotations

from alembic import op

from appliance.storage.append_only import SEALED_TRIGGERS

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Nobody is held at first. What somebody removed by hand before stays gone, and the check of the log tells that."""
    op.execute(
        "CREATE TABLE holds (pseudonym VARCHAR(64) NOT NULL, placed_by VARCHAR(64) NOT NULL, placed_ms INTEGER NOT NULL, "
        "placed_seq INTEGER NOT NULL, PRIMARY KEY (pseudonym), FOREIGN KEY(pseudonym) REFERENCES principals (pseudonym), "
        "FOREIGN KEY(placed_seq) REFERENCES audit_events (seq))"
    )
    for trigger in SEALED_TRIGGERS.values():
        op.execute(trigger)
