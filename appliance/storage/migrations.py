"""Bring the database to the schema this version expects, or refuse to start.

Alembic is imported only where there is something to do: it costs every process memory and start-up time otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from appliance.errors import ApplianceError, SetupError
from appliance.storage.database import Database
from appliance.storage.row_counts import row_counts

if TYPE_CHECKING:
    from alembic.config import Config
    from alembic.script import Script, ScriptDirectory

_HERE = Path(__file__).parent
_ROWS_DIFFER = "rows_differ"
"""A migration that adds or removes rows of tables which are there already, or drops tables, names them in a tuple called so."""

Before = Callable[[str], object]
"""Called with the revision that is there, under the write lock, before the first step."""
After = Callable[[Connection, tuple[str, ...]], object]
"""Called with the revisions applied, in the same transaction, after the last step."""


@dataclass(frozen=True, slots=True)
class Step:
    """A migration, and what it is for."""

    revision: str
    title: str


@dataclass(frozen=True, slots=True)
class Schema:
    """Of a database: the revision that is there (None of a new one), the one that this version expects, and what lies between."""

    found: str | None
    expected: str
    pending: tuple[Step, ...]


def schema_of(database: Database) -> Schema:
    """Changes nothing. Raises `SetupError` (`setup.schema_newer`)."""
    found, expected = revision_of(database), newest_revision()
    if found == expected:
        return Schema(found, expected, ())
    _, script = _scripts()
    return Schema(found, expected, tuple(Step(each.revision, _title(each)) for each in _pending(script, found)))


def migrate(
    database: Database,
    *,
    before: Before = lambda _: None,
    after: After = lambda *_: None,
    progress: Callable[[str], None] = lambda _: None,
) -> list[str]:
    """Apply what is missing in one transaction; the revisions applied, oldest first. `before` hears of no new database.

    Raises `SetupError`, leaving the database as it was: when a step fails (`setup.migration_failed`), when rows are gone or there
    are more of them and no step says so (`setup.rows_differ`), and when it is newer than the code (`setup.schema_newer`).
    """
    return [] if revision_of(database) == newest_revision() else _upgrade(database, before, after, progress)


def newest_revision() -> str:
    """The revision this version of the code expects, read off the names in `versions/`."""
    return max(path.name[1:5] for path in (_HERE / "versions").glob("v[0-9]*.py"))


def revision_of(database: Database) -> str | None:
    """None of a new database."""
    with database.read() as connection:
        return _revision(connection)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _scripts() -> tuple[Config, ScriptDirectory]:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(_HERE))
    config.set_main_option("version_locations", str(_HERE / "versions"))
    config.set_main_option("path_separator", "os")
    return config, ScriptDirectory.from_config(config)


def _pending(script: ScriptDirectory, found: str | None) -> list[Script]:
    from alembic.script.revision import RevisionError
    from alembic.util.exc import CommandError

    try:
        return list(script.iterate_revisions("heads", found or "base"))[::-1]
    except (CommandError, RevisionError) as error:
        raise SetupError(
            f"The data directory belongs to a newer version of Cloister: its schema is {found}, this version knows "
            f"{newest_revision()}. Install the newer version again, or go back to the copy that was kept before the upgrade: "
            "`cloister upgrade --back`.",
            code="setup.schema_newer",
            schema=str(found),
        ) from error


def _title(script: Script) -> str:
    """The first sentence about it."""
    return " ".join(script.doc.split()).split(". ")[0].rstrip(".") + "."


def _upgrade(database: Database, before: Before, after: After, progress: Callable[[str], None]) -> list[str]:
    config, script = _scripts()
    applied: list[str] = []
    with _whole(applied), database.write() as connection:
        found = _revision(connection)
        steps = _pending(script, found)
        if not steps:  # another process did it while we waited for the lock
            return []
        if found is not None:
            before(found)
        counted = row_counts(connection)
        _run(config, script, connection, applied, progress if found is not None else lambda _: None)
        _require_rows(counted, row_counts(connection), steps)
        after(connection, tuple(step.revision for step in steps))
        return [step.revision for step in steps]


def _run(
    config: Config, script: ScriptDirectory, connection: Connection, applied: list[str], progress: Callable[[str], None]
) -> None:
    from alembic.runtime.environment import EnvironmentContext

    def done(step: Script) -> None:
        applied.append(step.revision)
        progress(f"Schema {step.revision}: {_title(step)}")

    with EnvironmentContext(
        config,
        script,
        fn=lambda revision, _: script._upgrade_revs("heads", revision),  # noqa: SLF001 - the documented recipe
    ) as context:
        context.configure(
            connection=connection,
            transactional_ddl=False,
            on_version_apply=lambda *, step, **_: done(step.up_revision),
        )
        context.run_migrations()


def _require_rows(before: dict[str, int], after: dict[str, int], steps: list[Script]) -> None:
    """No table may have lost or gained rows by an oversight: a step that changes their number says so."""
    said = {table for step in steps for table in getattr(step.module, _ROWS_DIFFER, ())}
    wrong = [table for table, rows in before.items() if table not in said and after.get(table) != rows]
    if wrong:
        rows = ", ".join(f"{table}: {before[table]} before, {after.get(table, 'none')} after" for table in wrong)
        raise SetupError(
            f"The database could not be migrated: rows would differ that no step speaks of ({rows}). It was left as it was.",
            code="setup.rows_differ",
        )


@contextmanager
def _whole(applied: list[str]) -> Iterator[None]:
    """Whatever a step raises: by then everything was taken back."""
    try:
        yield
    except ApplianceError:
        raise
    except Exception as error:
        reason = getattr(error, "orig", None) or type(error).__name__  # never the statement, in which there may be a value
        done = f"the step after {applied[-1]}" if applied else "the first step"
        raise SetupError(
            f"The database could not be migrated: {done} failed ({reason}). It was left as it was.", code="setup.migration_failed"
        ) from error
