"""Which embedding model each index of vectors was made with, and which documents it holds. `retrieval/indexes.py` is the user."""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Record the index that is there as number 1; which model it was made with is recorded when the box opens.

    `search_indexed` says which documents an index holds in full. Those indexed before word pieces were stored are left out:
    they are read again in the background, as long as `complete` is 0.
    """
    op.execute(
        "CREATE TABLE search_indexes (number INTEGER PRIMARY KEY AUTOINCREMENT, model_id VARCHAR(200) NOT NULL, "
        "sha256 VARCHAR(64) NOT NULL, dimensions INTEGER NOT NULL, state VARCHAR(12) NOT NULL, complete BOOLEAN NOT NULL, "
        "begun_by VARCHAR(64) NOT NULL, begun_ms INTEGER NOT NULL, document_id VARCHAR(64) NOT NULL DEFAULT '', "
        "document_done INTEGER NOT NULL DEFAULT 0, passages_per_s FLOAT NOT NULL DEFAULT 0, "
        "CHECK (state IN ('building', 'serving', 'leaving')))"
    )
    for state in ("building", "serving"):
        op.execute(f"CREATE UNIQUE INDEX search_indexes_one_{state} ON search_indexes (state) WHERE state = '{state}'")
    op.execute(
        "CREATE TABLE search_indexed (index_number INTEGER NOT NULL, document_id VARCHAR(64) NOT NULL, "
        "PRIMARY KEY (index_number, document_id)) WITHOUT ROWID"
    )
    # counted by the model of the index; NULL says that the passage itself has the same count
    op.execute("ALTER TABLE search_exact ADD COLUMN token_count INTEGER")
    op.execute(
        "INSERT INTO search_indexed SELECT 1, id FROM documents WHERE status = 'READY' AND EXISTS (SELECT 1 FROM chunks "
        "JOIN search_pieces ON search_pieces.chunk_id = chunks.id WHERE chunks.document_id = documents.id)"
    )
    op.execute(
        "INSERT INTO search_indexes(number, model_id, sha256, dimensions, state, complete, begun_by, begun_ms) "
        "SELECT 1, '', '', 384, 'serving', NOT EXISTS (SELECT 1 FROM documents WHERE status = 'READY' AND id NOT IN "
        "(SELECT document_id FROM search_indexed)), '', 0"
    )
