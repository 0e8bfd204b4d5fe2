"""What golden sets say of an index that is to take the place of the serving one (administration/golden/comparisons.py)."""

from __future__ import annotations

from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """An index that is building now is compared like all others before it takes over; those that are in place stay."""
    op.execute("ALTER TABLE search_indexes ADD COLUMN against VARCHAR(300) NOT NULL DEFAULT ''")
    op.execute("ALTER TABLE search_indexes ADD COLUMN unconditional BOOLEAN NOT NULL DEFAULT 0")
    op.execute(
        "CREATE TABLE index_comparisons (index_number INTEGER NOT NULL, set_id VARCHAR(64) NOT NULL, "
        "digest VARCHAR(64) NOT NULL, compared_ms INTEGER NOT NULL, reason_code VARCHAR(60) NOT NULL, body TEXT NOT NULL, "
        "PRIMARY KEY (index_number, set_id), "
        "FOREIGN KEY(index_number) REFERENCES search_indexes (number) ON DELETE CASCADE, "
        "FOREIGN KEY(set_id) REFERENCES golden_sets (id) ON DELETE CASCADE)"
    )
