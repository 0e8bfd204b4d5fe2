"""One encrypted SQLite file: a single writer, readers beside it.

SQLCipher encrypts every page (AES-256-CBC, HMAC-SHA512); the key is raw, so that opening costs no key derivation. Writers of
all processes queue on SQLite's own lock (`BEGIN IMMEDIATE`); inside a process they queue on a plain lock first, which is fair.
Connections are opened on first use and belong to the process that opened them: never carry one across a fork.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlite_vec
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import QueuePool
from sqlcipher3 import dbapi2

from appliance.errors import SetupError, Unavailable

_PLAINTEXT_HEADER = b"SQLite format 3\x00"
_WRITER_CACHE_MB = 16
_BUSY_TIMEOUT_MS = 30_000
_FOLD_TIMEOUT_MS = 2_000
_STEPS_BETWEEN_LOOKS = 10_000  # of SQLite's machine: a few milliseconds
_LOOK_S = 5.0


class Database:
    """The appliance's one database; `read()` and `write()` are the only ways in."""

    def __init__(self, path: Path, key: bytes, *, read_connections: int = 4, page_cache_mb: int = 64) -> None:
        """`key` is 32 raw bytes; `page_cache_mb` is what each reader may keep decrypted in memory. Nothing is opened yet."""
        self.path = path
        self._key = key
        self._page_cache_mb = {"read": page_cache_mb, "write": _WRITER_CACHE_MB}
        self._write_lock = threading.Lock()
        self._readers = self._engine("read", read_connections)
        self._writer = self._engine("write", 1)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A snapshot: every statement inside sees the same state of the database."""
        with self._readers.connect() as connection:
            yield connection

    @contextmanager
    def write(self, *, foreign_keys: bool = True) -> Iterator[Connection]:
        """A transaction that holds the write lock from its first moment; commits on leaving, rolls back on any error.

        Without `foreign_keys` nothing is checked and nothing cascades: what refers to a row that goes is the caller's to mend.
        Raises `Unavailable`: `disk.full`, and `database.busy` where another process keeps the lock for too long.
        """
        try:
            with (
                self._write_lock,
                self._writer.connect() as connection,
                _enforcing(connection, foreign_keys=foreign_keys),
                connection.begin(),
            ):
                yield connection
        except OperationalError as error:
            reason = str(error.orig)
            if "disk is full" in reason:
                raise Unavailable(
                    "The disk of the box is full. Nothing was changed; tell your administrator.", code="disk.full"
                ) from error
            if "is locked" in reason:
                raise Unavailable("The box is busy. Try again in a moment.", code="database.busy", retry_after_s=5) from error
            raise

    def copy_to(self, target: Path, written: Callable[[int], object] | None = None) -> None:
        """The database as it is now, as a file of its own under the same key; writers go on meanwhile.

        `target` must not be there; `written` is told from time to time how many bytes of it there are. Raises `Unavailable`
        (`disk.full`), and `SetupError` (`setup.plaintext`) should SQLite ever write in the clear.
        """
        connection = self._connect("write")  # VACUUM INTO changes nothing here, and a connection for queries alone refuses it
        if written is not None:
            connection.set_progress_handler(_told(target, written), _STEPS_BETWEEN_LOOKS)
        target.touch(mode=0o600, exist_ok=False)
        try:
            connection.execute("VACUUM INTO ?", (str(target),))
        except dbapi2.OperationalError as error:
            target.unlink(missing_ok=True)
            if "disk is full" in str(error):
                raise Unavailable("The disk of the box is full; the database was not copied.", code="disk.full") from error
            raise
        finally:
            connection.close()
        self.like(target).assert_encrypted()

    def like(self, path: Path) -> Database:
        """Another file under the same key."""
        return Database(path, self._key, read_connections=1)

    def stored_bytes(self) -> int:
        """Of the file and of what is not folded into it yet."""
        return sum(path.stat().st_size for path in (self.path, self.path.with_name(f"{self.path.name}-wal")) if path.exists())

    def end_log(self) -> None:
        """Fold the write-ahead log into the file and end it, so that the file is the whole database. Closes what is open here.

        Raises `Unavailable` (`database.busy`) while any process has it open.
        """
        self.close()
        connection = self._connect("write")
        try:
            connection.execute(f"PRAGMA busy_timeout = {_FOLD_TIMEOUT_MS}")
            connection.execute("PRAGMA journal_mode = DELETE")
        except dbapi2.OperationalError as error:
            raise Unavailable("Another process has the database open.", code="database.busy") from error
        finally:
            connection.close()

    def fold(self) -> bool:
        """Empty the write-ahead log into the file, so that no page lies there as it was; false where readers keep it.

        They are waited for two seconds at most.
        """
        connection = self._connect("write")
        try:
            connection.execute(f"PRAGMA busy_timeout = {_FOLD_TIMEOUT_MS}")
            busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            connection.close()
        return not busy

    def close(self) -> None:
        """Close all connections of this process."""
        self._readers.dispose()
        self._writer.dispose()

    def _engine(self, purpose: str, size: int) -> Engine:
        engine = create_engine(
            "sqlite://",
            module=dbapi2,
            creator=lambda: self._connect(purpose),
            poolclass=QueuePool,
            pool_size=size,
            max_overflow=0,
            hide_parameters=True,  # errors end up in logs, bound values are people's text
            # the connection used last has the warmest page cache; those not needed stay small
            pool_use_lifo=True,
        )
        begin = "BEGIN IMMEDIATE" if purpose == "write" else "BEGIN"

        def begin_transaction(connection: Connection) -> None:
            connection.exec_driver_sql(begin)

        event.listen(engine, "begin", begin_transaction)
        return engine

    def _connect(self, purpose: str) -> Any:
        connection = dbapi2.connect(str(self.path), isolation_level=None, check_same_thread=False)
        connection.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
        try:
            connection.execute("PRAGMA cipher_log_level = NONE")  # it would write to stderr what we raise below
            connection.execute(f"PRAGMA key = \"x'{self._key.hex()}'\"")
            connection.execute("PRAGMA journal_mode = WAL")
        except dbapi2.DatabaseError as error:
            connection.close()
            raise SetupError(
                "The database cannot be opened with this root key: the key file does not belong to this data directory, "
                "or the database is damaged.",
                code="setup.key_mismatch",
            ) from error
        connection.execute(f"PRAGMA cache_size = -{self._page_cache_mb[purpose] * 1024}")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("PRAGMA secure_delete = ON")
        connection.enable_load_extension(True)
        sqlite_vec.load(connection)
        connection.enable_load_extension(False)
        if purpose == "read":
            connection.execute("PRAGMA query_only = ON")
        return connection

    def assert_encrypted(self) -> None:
        """Raise `SetupError` if the file on disk is plain SQLite: a key that was not applied must never go unnoticed."""
        if self.path.exists():
            with self.path.open("rb") as file:
                if file.read(16) == _PLAINTEXT_HEADER:
                    raise SetupError("The database file is not encrypted.", code="setup.plaintext", path=str(self.path))


def _told(target: Path, written: Callable[[int], object]) -> Callable[[], int]:
    """What SQLite calls while it works: tells every few seconds how far it is."""
    last = time.monotonic()

    def look() -> int:
        nonlocal last
        if time.monotonic() - last >= _LOOK_S:
            last = time.monotonic()
            written(target.stat().st_size)
        return 0  # anything else would stop it

    return look


@contextmanager
def _enforcing(connection: Connection, *, foreign_keys: bool) -> Iterator[None]:
    """The setting can only be changed outside a transaction."""
    if foreign_keys:
        yield
        return
    raw: Any = connection.connection.dbapi_connection
    raw.execute("PRAGMA foreign_keys = OFF")
    try:
        yield
    finally:
        raw.execute("PRAGMA foreign_keys = ON")


def checkpoint(database: Database) -> int:
    """Fold the write-ahead log into the file, so that it does not grow without end; how many pages of it are in the file."""
    with database.read() as connection:
        _, _, folded = connection.execute(text("PRAGMA wal_checkpoint(PASSIVE)")).one()
    return int(folded)
