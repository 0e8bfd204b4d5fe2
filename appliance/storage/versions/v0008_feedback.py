"""What people say about answers, and the figures of the hours by which a drift of the whole box is noticed."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Answers that are there already keep what can still be known of them: the score of the best passage they used."""
    op.execute(
        "CREATE TABLE feedback (message_id VARCHAR(64) NOT NULL, helpful BOOLEAN NOT NULL, kind VARCHAR(12) NOT NULL, "
        "comment VARCHAR(500) NOT NULL, shared BOOLEAN NOT NULL, given_ms INTEGER NOT NULL, changed_ms INTEGER NOT NULL, "
        "PRIMARY KEY (message_id), FOREIGN KEY(message_id) REFERENCES messages (id) ON DELETE CASCADE, "
        "CHECK (kind IN ('', 'citation', 'missed', 'wrong', 'other')))"
    )
    op.execute("CREATE INDEX feedback_by_time ON feedback (given_ms)")
    op.execute("ALTER TABLE messages ADD COLUMN best_score FLOAT")
    op.execute("ALTER TABLE messages ADD COLUMN sentences_supported INTEGER")
    op.execute("ALTER TABLE messages ADD COLUMN sentences_withheld INTEGER")
    op.execute(
        "UPDATE messages SET best_score = (SELECT max(score) FROM message_passages WHERE message_id = messages.id) "
        "WHERE role = 'assistant'"
    )
    op.execute("CREATE INDEX messages_by_end ON messages (finished_ms)")
    op.execute(
        "CREATE TABLE quality_hours (start_ms INTEGER NOT NULL, questions INTEGER NOT NULL, answered INTEGER NOT NULL, "
        "abstained INTEGER NOT NULL, stopped INTEGER NOT NULL, failed INTEGER NOT NULL, helpful INTEGER NOT NULL, "
        "unhelpful INTEGER NOT NULL, supported INTEGER NOT NULL, withheld INTEGER NOT NULL, search_score TEXT NOT NULL, "
        "first_word TEXT NOT NULL, whole_time TEXT NOT NULL, PRIMARY KEY (start_ms))"
    )
    op.execute(
        "CREATE TABLE drift_alerts (measure VARCHAR(24) NOT NULL, begun_ms INTEGER NOT NULL, ended_ms INTEGER, "
        "before FLOAT NOT NULL, last FLOAT NOT NULL, PRIMARY KEY (measure, begun_ms))"
    )
    op.execute("CREATE UNIQUE INDEX drift_alerts_one_open ON drift_alerts (measure) WHERE ended_ms IS NULL")
