"""Bring the database to the schema this version expects, or refuse to start.

Alembic is imported only where there is something to do: it costs every process memory and start-up time otherwise.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import inspect, text
from sqlalchemy.exc import SQLAlchemyError

from appliance.errors import SetupError
from appliance.storage.database import Database

_HERE = Path(__file__).parent


def migrate(database: Database) -> list[str]:
    """Apply what is missing in one transaction; the revisions applied, oldest first.

    Raises `SetupError` when a step fails, leaving the database as it was, and when the database is newer than the code.
    """
    return [] if _revision(database) == newest_revision() else _upgrade(database)


def newest_revision() -> str:
    """The revision this version of the code expects, read off the names in `versions/`."""
    return max(path.name[1:5] for path in (_HERE / "versions").glob("v[0-9]*.py"))


def _revision(database: Database) -> str | None:
    with database.read() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _upgrade(database: Database) -> list[str]:
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory
    from alembic.script.revision import RevisionError
    from alembic.util.exc import CommandError

    config = Config()
    config.set_main_option("script_location", str(_HERE))
    config.set_main_option("version_locations", str(_HERE / "versions"))
    config.set_main_option("path_separator", "os")
    script = ScriptDirectory.from_config(config)
    try:
        with database.write() as connection:
            before = MigrationContext.configure(connection).get_current_heads()
            pending = [revision.revision for revision in script.iterate_revisions("heads", before or "base")][::-1]
            if pending:
                with EnvironmentContext(
                    config,
                    script,
                    fn=lambda revision, _: script._upgrade_revs("heads", revision),  # noqa: SLF001 - the documented recipe
                ) as context:
                    context.configure(connection=connection, transactional_ddl=False)
                    context.run_migrations()
            return pending
    except (CommandError, RevisionError) as error:
        raise SetupError("The data directory belongs to a newer version of Cloister.", code="setup.schema_newer") from error
    except SQLAlchemyError as error:
        raise SetupError("The database could not be migrated; it was left as it was.", code="setup.migration_failed") from error
