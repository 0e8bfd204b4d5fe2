"""Ranges of passages that no search may find. `retrieval/hidden.py` and `retrieval/slices.py` are its only users."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Create the table, empty. `document_id` is set while a document is being stored, NULL where the range is to be removed."""
    op.execute(
        "CREATE TABLE search_hidden (first INTEGER PRIMARY KEY, last INTEGER NOT NULL, collection_number INTEGER NOT NULL, "
        "document_id VARCHAR(64) UNIQUE)"
    )
