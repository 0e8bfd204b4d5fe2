"""The second factor of an account: the secret that its app shares with the box, and recovery codes, kept as digests."""

from __future__ import annotations

from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Nobody has one at first; as before, a password alone opens an account."""
    op.execute(
        "CREATE TABLE second_factors (principal_id VARCHAR(64) NOT NULL, secret VARCHAR(64) NOT NULL, begun_ms INTEGER NOT NULL, "
        "confirmed_ms INTEGER, last_step INTEGER NOT NULL, PRIMARY KEY (principal_id), "
        "FOREIGN KEY(principal_id) REFERENCES principals (id) ON DELETE CASCADE)"
    )
    op.execute(
        "CREATE TABLE recovery_codes (principal_id VARCHAR(64) NOT NULL, code_sha256 VARCHAR(64) NOT NULL, "
        "PRIMARY KEY (principal_id, code_sha256), FOREIGN KEY(principal_id) REFERENCES principals (id) ON DELETE CASCADE)"
    )
