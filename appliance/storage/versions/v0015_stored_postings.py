"""Long posting lists of the full-text index, each in one piece. `retrieval/stored_postings.py` is their only user."""

from __future__ import annotations

from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Create the lists, none of them made yet, and the view of the full-text index that says which are long."""
    op.execute(
        "CREATE TABLE search_postings (collection_number INTEGER NOT NULL, term TEXT NOT NULL, generation INTEGER NOT NULL, "
        "entries BLOB NOT NULL, PRIMARY KEY (collection_number, term)) WITHOUT ROWID"
    )
    op.execute("ALTER TABLE search_collections ADD COLUMN stored_generation INTEGER")
    op.execute("CREATE VIRTUAL TABLE search_terms USING fts5vocab(search_words, row)")
