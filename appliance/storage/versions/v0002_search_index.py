"""The search index: vectors in sqlite-vec, words in FTS5. `retrieval/index.py` is its only user."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the index tables.

    `search_vectors` holds one bit per dimension, kept apart by collection, for the scan; `search_exact` holds the vector in
    int8 with its scale, for the exact order of what the scan found. `search_words` holds tokens made by
    `retrieval/impacts.py`; its own tokenizer only cuts at spaces. `search_collections` counts, and tells caches what changed.
    """
    op.execute(
        "CREATE VIRTUAL TABLE search_vectors USING vec0("
        "chunk_id INTEGER PRIMARY KEY, collection_number INTEGER PARTITION KEY, bits bit[384], chunk_size=256)"
    )
    op.execute("CREATE TABLE search_exact (chunk_id INTEGER PRIMARY KEY, vector BLOB NOT NULL)")
    # not op.execute: it would read ':#' as a bound parameter
    op.get_bind().exec_driver_sql(
        "CREATE VIRTUAL TABLE search_words USING fts5(tokens, content='', contentless_delete=1, detail=none, "
        "tokenize=\"ascii tokenchars '-/._:#+&@'\")"
    )
    op.execute("INSERT INTO search_words(search_words, rank) VALUES ('automerge', 2)")
    op.execute(
        "CREATE TABLE search_collections (collection_number INTEGER PRIMARY KEY, chunk_count INTEGER NOT NULL, "
        "generation INTEGER NOT NULL)"
    )
