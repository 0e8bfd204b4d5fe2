"""Models as administrators see them: versions with states, and the keys whose signatures they trust."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create `model_versions`, where at most one version of a name is active and one a canary, and `model_signers`."""
    op.execute(
        "CREATE TABLE model_versions ("
        "id VARCHAR(200) NOT NULL, kind VARCHAR(12) NOT NULL, name VARCHAR(120) NOT NULL, number INTEGER NOT NULL, "
        "format VARCHAR(12) NOT NULL, quantisation VARCHAR(24) NOT NULL, architecture VARCHAR(60) NOT NULL, "
        "parameters_m FLOAT NOT NULL, size_class VARCHAR(8) NOT NULL, context_tokens INTEGER NOT NULL, "
        "memory_mb INTEGER NOT NULL, licence VARCHAR(200) NOT NULL, sha256 VARCHAR(64) NOT NULL, size_bytes INTEGER NOT NULL, "
        "files TEXT NOT NULL, encrypted BOOLEAN NOT NULL, prompt TEXT NOT NULL, source VARCHAR(500) NOT NULL, "
        "made_from VARCHAR(200), signer VARCHAR(64), measured TEXT NOT NULL, trials TEXT NOT NULL, "
        "state VARCHAR(12) NOT NULL, canary_percent INTEGER, canary_group VARCHAR(64), replaced VARCHAR(200), "
        "imported_ms INTEGER NOT NULL, changed_ms INTEGER NOT NULL, "
        "PRIMARY KEY (id), UNIQUE (name, number), "
        "CHECK (state IN ('candidate', 'canary', 'active', 'retired')), "
        "CHECK (canary_percent IS NULL OR canary_percent BETWEEN 1 AND 99))"
    )
    for state in ("active", "canary"):
        op.execute(f"CREATE UNIQUE INDEX model_versions_one_{state} ON model_versions (name) WHERE state = '{state}'")
    op.execute("CREATE INDEX model_versions_by_content ON model_versions (sha256)")
    op.execute(
        "CREATE TABLE model_signers (fingerprint VARCHAR(64) NOT NULL, public_key BLOB NOT NULL, name VARCHAR(200) NOT NULL, "
        "trusted_ms INTEGER NOT NULL, PRIMARY KEY (fingerprint))"
    )
