"""Alembic, configured in code: `upgrade(settings)` brings either database to the newest schema."""

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

from gateway.db import make_engine
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
