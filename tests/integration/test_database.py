from __future__ import annotations

import subprocess
import sys
import threading

import pytest
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text
from sqlalchemy.exc import DatabaseError, IntegrityError, OperationalError

from appliance.errors import SetupError, Unavailable
from appliance.storage.database import Database
from appliance.storage.migrations import migrate
from appliance.storage.tables import metadata
from appliance.storage.versions import v0004_classification

KEY = b"k" * 32


@pytest.fixture
def database(tmp_path):
    opened = Database(tmp_path / "c.db", KEY)
    migrate(opened)
    yield opened
    opened.close()


def test_another_key_does_not_open_it(database):
    with pytest.raises(SetupError, match="root key"):
        migrate(Database(database.path, b"x" * 32))


def test_a_plain_file_is_noticed(tmp_path):
    path = tmp_path / "plain.db"
    path.write_bytes(b"SQLite format 3\x00" + bytes(84))
    with pytest.raises(SetupError, match="not encrypted"):
        Database(path, KEY).assert_encrypted()


def test_a_full_disk_is_one_sentence_and_leaves_nothing(database):
    with database.write() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1")  # no more than there is
    with pytest.raises(Unavailable, match="disk of the box is full") as caught, database.write() as connection:
        connection.execute(text("INSERT INTO groups VALUES ('a', hex(zeroblob(100000)))"))
    assert caught.value.stable_code == "disk.full"
    with database.write() as connection:
        assert connection.execute(text("SELECT count(*) FROM groups WHERE id = 'a'")).scalar() == 0


def test_a_lock_that_another_process_keeps_is_one_sentence(database, monkeypatch):
    monkeypatch.setattr("appliance.storage.database._BUSY_TIMEOUT_MS", 50)
    other = Database(database.path, KEY)
    try:
        with database.write(), pytest.raises(Unavailable, match="busy") as caught, other.write():
            pass
    finally:
        other.close()
    assert (caught.value.stable_code, caught.value.data["retry_after_s"]) == ("database.busy", 5)


def test_readers_cannot_write(database):
    with database.read() as connection, pytest.raises(OperationalError, match="readonly"):
        connection.execute(text("INSERT INTO groups VALUES ('a', 'b')"))


def test_a_failed_write_leaves_nothing(database):
    with pytest.raises(RuntimeError), database.write() as connection:
        connection.execute(text("INSERT INTO groups VALUES ('a', 'b')"))
        raise RuntimeError
    with database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM groups WHERE id = 'a'")).scalar() == 0


def test_the_audit_log_cannot_be_changed_or_cut(database):
    with database.write() as connection:
        connection.execute(text("INSERT INTO audit_events VALUES (1, 1, 1, 0, 'e', 'a', 'success', x'00', x'00')"))
    for statement in ("UPDATE audit_events SET event = 'x'", "DELETE FROM audit_events"):
        with pytest.raises(DatabaseError, match="append-only"), database.write() as connection:
            connection.execute(text(statement))


def test_writers_of_many_threads_queue_and_none_is_lost(database):
    with database.write() as connection:
        connection.execute(text("CREATE TABLE counter (n INTEGER)"))
        connection.execute(text("INSERT INTO counter VALUES (0)"))

    def add() -> None:
        for _ in range(20):
            with database.write() as connection:
                value = connection.execute(text("SELECT n FROM counter")).scalar()
                connection.execute(text("UPDATE counter SET n = :n"), {"n": value + 1})

    threads = [threading.Thread(target=add) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as connection:
        assert connection.execute(text("SELECT n FROM counter")).scalar() == 100


def test_migrating_twice_changes_nothing_and_does_not_even_load_alembic(database):
    program = (
        "import sys; from pathlib import Path; from appliance.storage.database import Database;"
        "from appliance.storage.migrations import migrate;"
        f"assert migrate(Database(Path({str(database.path)!r}), {KEY!r})) == []; assert 'alembic' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_errors_do_not_quote_what_people_wrote(database):
    with pytest.raises(DatabaseError) as raised, database.write() as connection:
        connection.execute(text("INSERT INTO no_such_table VALUES (:words)"), {"words": "a private sentence"})
    assert "a private sentence" not in str(raised.value)


def test_a_database_of_a_newer_version_is_refused_and_left_alone(database):
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SetupError, match="newer version"):
        migrate(database)


def test_a_failing_migration_is_rolled_back_whole(tmp_path):
    database = Database(tmp_path / "c.db", KEY)
    with database.write() as connection:
        connection.execute(text("CREATE TABLE messages (in_the_way INTEGER)"))
    with pytest.raises(SetupError, match="left as it was"):
        migrate(database)
    with database.read() as connection:
        assert connection.execute(text("SELECT name FROM sqlite_master")).scalars().all() == ["messages"]


def test_the_migrations_make_what_the_code_describes(database):
    with database.read() as connection:
        made = inspect(connection)
        for table in metadata.tables.values():
            described = {(column.name, str(column.type), column.nullable, column.primary_key) for column in table.columns}
            keys = made.get_pk_constraint(table.name)["constrained_columns"]
            columns = made.get_columns(table.name)
            assert {(c["name"], str(c["type"]), c["nullable"], c["name"] in keys) for c in columns} == described, table.name
            assert {index["name"] for index in made.get_indexes(table.name)} == {index.name for index in table.indexes}


@pytest.mark.parametrize(("pragma", "value"), [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1)])
def test_the_pragmas_that_durability_rests_on(database, pragma, value):
    for open_ in (database.read, database.write):
        with open_() as connection:
            assert connection.execute(text(f"PRAGMA {pragma}")).scalar() == value


def test_collections_and_answers_of_before_get_the_usual_classification_and_no_decision(database):
    with database.write() as connection:
        # as version 0003 left it
        connection.execute(text("ALTER TABLE collections DROP COLUMN classification"))
        connection.execute(text("ALTER TABLE messages DROP COLUMN selection"))
        connection.execute(text("INSERT INTO collections (id, name, created_ms) VALUES ('c', 'Handbook', 1)"))
        with Operations.context(MigrationContext.configure(connection)):
            v0004_classification.upgrade()
    with database.read() as connection:
        assert connection.execute(text("SELECT classification FROM collections WHERE id = 'c'")).scalar() == "internal"
        assert "selection" in {column["name"] for column in inspect(connection).get_columns("messages")}


def test_foreign_keys_are_enforced_again_after_a_transaction_without_them(database):
    orphan = "INSERT INTO roles VALUES ('nobody', 'employee')"
    with pytest.raises(RuntimeError), database.write(foreign_keys=False) as connection:
        connection.execute(text(orphan))
        raise RuntimeError
    with pytest.raises(IntegrityError, match="FOREIGN KEY"), database.write() as connection:
        connection.execute(text(orphan))
