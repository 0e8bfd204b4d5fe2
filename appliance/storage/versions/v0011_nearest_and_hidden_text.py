"""The passages that an answer offers where it says that there is none, and where documents hold text that nobody sees."""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Answers of before offered nothing; documents of before were not looked at."""
    op.execute(
        "CREATE TABLE message_nearest (message_id VARCHAR(64) NOT NULL, rank INTEGER NOT NULL, document_id VARCHAR(64) NOT NULL, "
        'page INTEGER NOT NULL, start INTEGER NOT NULL, "end" INTEGER NOT NULL, PRIMARY KEY (message_id, rank), '
        "FOREIGN KEY(message_id) REFERENCES messages (id) ON DELETE CASCADE, "
        "FOREIGN KEY(document_id) REFERENCES documents (id) ON DELETE CASCADE)"
    )
    op.execute("ALTER TABLE documents ADD COLUMN hidden_pages VARCHAR(200) NOT NULL DEFAULT ''")
    op.execute("ALTER TABLE documents ADD COLUMN hidden_letters INTEGER NOT NULL DEFAULT 0")
    op.execute("CREATE INDEX message_nearest_by_document ON message_nearest (document_id)")
