"""Golden sets of questions, their runs, and what came of each question."""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Create the tables, empty."""
    op.execute(
        "CREATE TABLE golden_sets (id VARCHAR(64) NOT NULL, collection_id VARCHAR(64) NOT NULL, name VARCHAR(200) NOT NULL, "
        "required BOOLEAN NOT NULL, schedule VARCHAR(10) NOT NULL, hour INTEGER NOT NULL, weekday INTEGER NOT NULL, "
        "acts_for VARCHAR(64) NOT NULL, due_ms INTEGER, created_ms INTEGER NOT NULL, PRIMARY KEY (id), "
        "UNIQUE (collection_id, name), FOREIGN KEY(collection_id) REFERENCES collections (id) ON DELETE CASCADE)"
    )
    op.execute(
        "CREATE TABLE golden_questions (id VARCHAR(64) NOT NULL, set_id VARCHAR(64) NOT NULL, ordinal INTEGER NOT NULL, "
        "text TEXT NOT NULL, answers TEXT NOT NULL, document VARCHAR(500) NOT NULL, page INTEGER, silent BOOLEAN NOT NULL, "
        "PRIMARY KEY (id), FOREIGN KEY(set_id) REFERENCES golden_sets (id) ON DELETE CASCADE)"
    )
    op.execute("CREATE INDEX golden_questions_by_set ON golden_questions (set_id, ordinal)")
    op.execute(
        "CREATE TABLE golden_runs (id VARCHAR(64) NOT NULL, set_id VARCHAR(64) NOT NULL, cause VARCHAR(12) NOT NULL, "
        "acts_for VARCHAR(64) NOT NULL, version_id VARCHAR(200) NOT NULL, activates BOOLEAN NOT NULL, "
        "status VARCHAR(12) NOT NULL, created_ms INTEGER NOT NULL, started_ms INTEGER, finished_ms INTEGER, "
        "total INTEGER NOT NULL, done INTEGER NOT NULL, figures TEXT NOT NULL, conditions TEXT NOT NULL, "
        "conditions_sha256 VARCHAR(64) NOT NULL, baseline_id VARCHAR(64), worse INTEGER NOT NULL, better INTEGER NOT NULL, "
        "regressed BOOLEAN NOT NULL, accepted_ms INTEGER, reason_code VARCHAR(60), reason VARCHAR(500), "
        "stop_requested BOOLEAN NOT NULL, attempts INTEGER NOT NULL, claimed_by VARCHAR(64), lease_until_ms INTEGER NOT NULL, "
        "PRIMARY KEY (id), FOREIGN KEY(set_id) REFERENCES golden_sets (id) ON DELETE CASCADE)"
    )
    op.execute("CREATE INDEX golden_runs_by_set ON golden_runs (set_id, created_ms)")
    op.execute("CREATE INDEX golden_runs_by_status ON golden_runs (status, lease_until_ms)")
    op.execute(
        "CREATE TABLE golden_outcomes (run_id VARCHAR(64) NOT NULL, question_id VARCHAR(64) NOT NULL, "
        'ordinal INTEGER NOT NULL, question_sha256 VARCHAR(64) NOT NULL, "right" BOOLEAN NOT NULL, body TEXT NOT NULL, '
        "PRIMARY KEY (run_id, question_id), FOREIGN KEY(run_id) REFERENCES golden_runs (id) ON DELETE CASCADE)"
    )
