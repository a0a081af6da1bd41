"""A transaction as verbs see it."""

from collections.abc import Mapping
from functools import cache
from typing import Any, Protocol

from sqlalchemy import Connection, CursorResult, Executable, Table
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert


class JobStarter(Protocol):
    """Enqueues a job by name and key within a connection's transaction."""

    def __call__(self, connection: Connection, name: str, key: int) -> None: ...

    def close(self) -> None: ...


class Transaction:
    """What a verb changes the database through; shared by the verbs of one commit."""

    def __init__(self, connection: Connection, start_job: JobStarter | None = None) -> None:
        self.connection = connection
        self.is_sqlite = connection.dialect.name == "sqlite"
        self._start_job = start_job
        self._done: set[Executable] = set()
        self._later: dict[Table, list[Mapping[str, Any]]] = {}

    def execute(self, statement: Executable, values: Any = None) -> CursorResult[Any]:
        return self.connection.execute(statement, values)

    def once(self, statement: Executable) -> None:
        """Executes the statement unless a verb of this transaction has done so already: for locks."""
        if statement not in self._done:
            self._done.add(statement)
            self.execute(statement)

    def later(self, table: Table, row: Mapping[str, Any]) -> None:
        """Inserts the row just before the commit, with all others for the table in one statement.

        For rows that nobody reads back within the transaction. Rows of one table must have the same keys.
        """
        self._later.setdefault(table, []).append(row)

    def start_job(self, name: str, key: int) -> None:
        """Enqueues a job with this transaction. Without a job engine (tests, tools) the reaper finds the work."""
        if self._start_job is not None:
            self._start_job(self.connection, name, key)

    def flush(self) -> None:
        for table, rows in self._later.items():
            self.connection.execute(table.insert(), rows)
        self._later.clear()


@cache
def insert_new(table: Table, is_sqlite: bool, *returning: str) -> Any:
    """INSERT … ON CONFLICT DO NOTHING RETURNING …: no row back means a unique index had it already."""
    statement = (sqlite_insert if is_sqlite else postgresql_insert)(table).on_conflict_do_nothing()
    return statement.returning(*(table.c[name] for name in returning or ("id",)))
