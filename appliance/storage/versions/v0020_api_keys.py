"""Keys by which programs act as a person, and which of them a question or a document came by."""

from __future__ import annotations

from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """Nobody has a key at first, and nothing came by one."""
    op.execute(
        "CREATE TABLE api_keys (id VARCHAR(64) NOT NULL, principal_id VARCHAR(64) NOT NULL, name VARCHAR(200) NOT NULL, "
        "digest VARCHAR(64) NOT NULL, scopes VARCHAR(100) NOT NULL, created_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL, "
        "last_used_ms INTEGER, PRIMARY KEY (id), FOREIGN KEY(principal_id) REFERENCES principals (id) ON DELETE CASCADE)"
    )
    op.execute("CREATE INDEX api_keys_by_principal ON api_keys (principal_id)")
    for table in ("messages", "documents"):
        op.execute(f"ALTER TABLE {table} ADD COLUMN key_id VARCHAR(64) NOT NULL DEFAULT ''")
