"""Signs of the word pieces of each passage, for the second stage of ranking. `retrieval/index.py` is its only user."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Create the table, empty: passages indexed before are ranked without it until their document is indexed again."""
    op.execute("CREATE TABLE search_pieces (chunk_id INTEGER PRIMARY KEY, signs BLOB NOT NULL)")
