"""The database layer: one writer with group commit, readers apart (DESIGN section 6 has the measurements).

A *verb* is a plain function `verb(tx, *args) -> result` that changes state through a `Transaction`; a *query*
is one that looks through a read-only `Connection`.
"""

import asyncio
import gc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event

from gateway.settings import Settings
from gateway.transaction import JobStarter, Transaction, insert_new
from gateway.writer import LOST, Writer, away

__all__ = ["Database", "JobStarter", "Transaction", "Writer", "insert_new", "make_engine", "tune_gc"]

# A server that is gone is noticed within 2 to 4 s, idle or not.
POSTGRESQL = {
    "application_name": "optout",
    "connect_timeout": 2,
    "tcp_user_timeout": 2000,
    "keepalives_idle": 2,
    "keepalives_interval": 1,
    "keepalives_count": 2,
}
# A process that freezes in a transaction holds locks that every STOP waits for: the server ends it after 3 s.
# Waiting for a lock longer than 1 s would outlast the webhook's own patience.
WRITING = "-c idle_in_transaction_session_timeout=3000 -c lock_timeout=1000"
READING = "-c idle_in_transaction_session_timeout=30000"

P = ParamSpec("P")
R = TypeVar("R")


class Database:
    """Everything that talks to the database: `writer` for changes, `read` and `reading` for looks."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.engine = make_engine(settings, write=True, size=settings.lanes)
        self.read_engine = make_engine(settings, write=False, size=settings.db_pool_size)
        self.writer = Writer(self.engine, settings.lanes)
        # Threads and connections from one setting: more threads than connections only wait.
        self._threads = ThreadPoolExecutor(settings.db_pool_size, thread_name_prefix="reader")

    async def read(self, query: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Runs `query(connection, …)` in a read-only transaction on a reader thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, partial(self.reading, query, *args, **kwargs))

    def reading(self, query: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """The same from a thread. Raises DatabaseAway."""
        try:
            with self.read_engine.connect() as connection:
                return query(connection, *args, **kwargs)
        except LOST as error:
            raise away(error) from error

    def close(self) -> None:
        self.writer.close()
        if self.writer.start_job is not None:
            self.writer.start_job.close()
        self._threads.shutdown()
        self.engine.dispose()
        self.read_engine.dispose()


def make_engine(settings: Settings, *, write: bool, size: int) -> Engine:
    """An engine whose transactions begin the right way; parameters never show in its error texts."""
    if settings.is_sqlite:
        engine = create_engine(
            settings.database_url, hide_parameters=True, pool_size=size, max_overflow=0, pool_timeout=5
        )
        event.listen(engine, "connect", partial(_prepare_sqlite, write))
        event.listen(engine, "begin", _begin_immediate if write else _begin)
        return engine
    return create_engine(
        settings.database_url,
        hide_parameters=True,
        pool_size=size,
        max_overflow=0,
        pool_timeout=2,
        # The writer meets a dead connection by running the batch again; readers ask first.
        pool_pre_ping=not write,
        execution_options={} if write else {"postgresql_readonly": True},
        connect_args={**POSTGRESQL, "options": WRITING if write else READING},
    )


def _prepare_sqlite(write: bool, connection: Any, record: Any) -> None:
    # None: we begin transactions ourselves; the driver's own way would begin them too late.
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=5000", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")
    if not write:
        connection.execute("PRAGMA query_only=ON")


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def tune_gc() -> None:
    """After start-up: p99 of a webhook fell from 57 to 27 ms at 32 connections (DESIGN section 6)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
