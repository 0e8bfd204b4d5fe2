"""Long posting lists of the full-text index, each in one piece. `retrieval/stored_postings.py` is their only user."""

from __future__ import annotations

from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Create the lists, none of them made yet, and the view of the full-text index that says which are long."""
    op.execute(
        # the term comes first: a question asks for the same one in every collection of its scope, and they share a page
        "CREATE TABLE search_postings (term TEXT NOT NULL, collection_number INTEGER NOT NULL, generation INTEGER NOT NULL, "
        "first INTEGER NOT NULL, width INTEGER NOT NULL, gaps BLOB NOT NULL, PRIMARY KEY (term, collection_number)) WITHOUT ROWID"
    )
    op.execute("CREATE INDEX search_postings_by_collection ON search_postings (collection_number, generation)")
    op.execute("ALTER TABLE search_collections ADD COLUMN stored_generation INTEGER")
    op.execute("CREATE VIRTUAL TABLE search_terms USING fts5vocab(search_words, row)")
