"""Alembic, configured in code: `upgrade(settings)` brings either database to the newest schema."""

from typing import NamedTuple

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from gateway.db import make_engine
from gateway.errors import Conflict
from gateway.settings import Settings


def configuration(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", "gateway:migrations")
    config.attributes["connection"] = connection
    return config


def upgrade(settings: Settings) -> None:
    """Runs what is missing, all in one transaction; two processes at once wait for each other."""
    engine = make_engine(settings, write=True, size=1)
    try:
        with engine.begin() as connection:
            if not settings.is_sqlite:
                # SQLite's BEGIN IMMEDIATE already lets only one in.
                connection.exec_driver_sql("SELECT pg_advisory_xact_lock(810240)")
            command.upgrade(configuration(connection), "head")
    finally:
        engine.dispose()


class Schema(NamedTuple):
    """The revision the database is at, and the one this program needs."""

    current: str | None
    needed: str | None


def schema_of(connection: Connection) -> Schema:
    """Compares; changes nothing."""
    script = ScriptDirectory.from_config(configuration(connection))
    return Schema(MigrationContext.configure(connection).get_current_revision(), script.get_current_head())


def require_newest(settings: Settings) -> None:
    """Raises Conflict when the schema is another than this program's. A database that is away is no matter."""
    engine = make_engine(settings, write=False, size=1)
    try:
        with engine.connect() as connection:
            found = schema_of(connection)
    except OperationalError:
        return
    finally:
        engine.dispose()
    if found.current != found.needed:
        raise Conflict(
            f"The database is at revision {found.current or 'none'}, this program needs {found.needed}. "
            "Run: optout migrate"
        )
