"""Who may come in through the identity provider, and which of its answers were used already; nobody may at first."""

from __future__ import annotations

from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    """Every account there is keeps its password and signs in with it as before."""
    op.execute(
        "CREATE TABLE provider_links (principal_id VARCHAR(64) NOT NULL, issuer VARCHAR(500), subject VARCHAR(255), "
        "allowed_ms INTEGER NOT NULL, linked_ms INTEGER, PRIMARY KEY (principal_id), UNIQUE (issuer, subject), "
        "FOREIGN KEY(principal_id) REFERENCES principals (id) ON DELETE CASCADE)"
    )
    op.execute(
        "CREATE TABLE spent_states (state_sha256 VARCHAR(64) NOT NULL, spent_ms INTEGER NOT NULL, PRIMARY KEY (state_sha256))"
    )
    op.execute("ALTER TABLE sessions ADD COLUMN factor_shown BOOLEAN NOT NULL DEFAULT 0")
