"""How far the collector of the log is, by its address; none is known at first."""

from __future__ import annotations

from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    """No box had a collector before this."""
    op.execute(
        "CREATE TABLE log_collectors (address VARCHAR(1000) NOT NULL, sent_seq INTEGER NOT NULL, sent_ms INTEGER, "
        "tries INTEGER NOT NULL, tried_ms INTEGER NOT NULL, fault VARCHAR(60) NOT NULL, status INTEGER NOT NULL, "
        "failing_since_ms INTEGER, PRIMARY KEY (address))"
    )
