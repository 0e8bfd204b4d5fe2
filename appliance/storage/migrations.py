"""Bring the database to the schema this version expects, or refuse to start."""

from __future__ import annotations

from pathlib import Path

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.script.revision import RevisionError
from alembic.util.exc import CommandError
from sqlalchemy.exc import SQLAlchemyError

from appliance.errors import SetupError
from appliance.storage.database import Database


def migrate(database: Database) -> list[str]:
    """Apply what is missing in one transaction; the revisions applied, oldest first.

    Raises `SetupError` when a step fails, leaving the database as it was, and when the database is newer than the code.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("version_locations", str(Path(__file__).parent / "versions"))
    config.set_main_option("path_separator", "os")
    script = ScriptDirectory.from_config(config)
    try:
        with database.write() as connection:
            before = MigrationContext.configure(connection).get_current_heads()
            steps = script.iterate_revisions("heads", before or "base")
            pending = [revision.revision for revision in steps][::-1]
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
