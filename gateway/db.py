"""The database layer: one writer with group commit, readers apart (DESIGN section 6 has the measurements).

A *verb* is a plain function `verb(tx, *args) -> result` that changes state through a `Transaction`. The writer
thread runs the verbs that are waiting in one transaction and answers them after its commit. If one of them
fails the batch is rolled back and run again item by item, so a verb must have no effect outside its
transaction and may run twice.
"""

import asyncio
import gc
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache, partial
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, CursorResult, Engine, Executable, Table, create_engine, event
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from gateway.errors import DatabaseAway
from gateway.settings import Settings

P = ParamSpec("P")
R = TypeVar("R")

# 128 verbs a commit reached 3,400-3,700 requests/s; more only makes the first one wait longer.
BATCH = 128
# At 2,000 a second this is 5 s of work: whoever comes later would have been answered 503 anyway.
MOST_WAITING = 10_000
LOST = (OperationalError, InterfaceError, PoolTimeout)
JobStarter = Callable[[Connection, str, int], None]


class Transaction:
    """What a verb changes the database through; shared by the verbs of one commit."""

    def __init__(self, connection: Connection, start_job: JobStarter | None = None) -> None:
        self.connection = connection
        self.is_sqlite = connection.dialect.name == "sqlite"
        self._start_job = start_job
        self._later: dict[Table, list[Mapping[str, Any]]] = {}

    def execute(self, statement: Executable, values: Any = None) -> CursorResult[Any]:
        return self.connection.execute(statement, values)

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


Verb = Callable[Concatenate[Transaction, P], R]


class _Item:
    """A verb on its way through the writer, and where its answer goes."""

    __slots__ = ("call", "error", "future", "loop", "result")

    def __init__(self, call: Callable[[Transaction], Any], loop: asyncio.AbstractEventLoop | None) -> None:
        self.call = call
        self.loop = loop
        self.future: Any = loop.create_future() if loop else Future()
        self.result: Any = None
        self.error: BaseException | None = None

    def answer(self) -> None:
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


class Writer:
    """The threads that change the database: `lanes` of them, each committing what has gathered."""

    def __init__(self, engine: Engine, lanes: int = 1) -> None:
        self._engine = engine
        self.start_job: JobStarter | None = None
        self._waiting: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"writer-{lane}", daemon=True) for lane in range(lanes)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, verb: Verb[P, R], *args: P.args, **kwargs: P.kwargs) -> "asyncio.Future[R]":
        """From the event loop: the future resolves after the commit. Raises DatabaseAway when swamped."""
        return self._enqueue(verb, asyncio.get_running_loop(), args, kwargs)  # type: ignore[no-any-return]

    def run(self, verb: Verb[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """From a thread: waits for the commit."""
        return self._enqueue(verb, None, args, kwargs).result()  # type: ignore[no-any-return]

    def close(self) -> None:
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            thread.join()

    def _enqueue(
        self, verb: Callable[..., Any], loop: asyncio.AbstractEventLoop | None, args: Any, kwargs: Any
    ) -> Any:
        if self._waiting.qsize() > MOST_WAITING:
            raise DatabaseAway("The database cannot keep up; try again later.")
        item = _Item(lambda tx: verb(tx, *args, **kwargs), loop)
        self._waiting.put(item)
        return item.future

    def _work(self) -> None:
        while (item := self._waiting.get()) is not None:
            batch = [item, *self._drain()]
            # Whoever stopped waiting (503 after a timeout) must not find the change done later.
            batch = [one for one in batch if not one.future.cancelled()]
            self._commit(batch)
            _answer(batch)

    def _drain(self) -> list[_Item]:
        drained: list[_Item] = []
        while len(drained) < BATCH - 1:
            try:
                item = self._waiting.get_nowait()
            except queue.Empty:
                break
            if item is None:
                self._waiting.put(None)
                break
            drained.append(item)
        return drained

    def _commit(self, batch: Sequence[_Item]) -> None:
        try:
            self._run_with_reconnect(batch)
        except _CommitLost as lost:
            _fail(batch, lost.__cause__ or lost)
        except Exception as error:
            if _is_gone(error):
                _fail(batch, error)
            else:
                self._run_apart(batch, error)

    def _run_with_reconnect(self, batch: Sequence[_Item]) -> None:
        """A connection that died while idle shows only now; nothing was done yet, so once more."""
        try:
            self._run_together(batch)
        except LOST as error:
            if not _is_gone(error):
                raise
            self._run_together(batch)

    def _run_apart(self, batch: Sequence[_Item], error: Exception) -> None:
        """The batch again item by item: a poisoned one fails alone, a deadlock's loser gets its turn."""
        if len(batch) == 1 and not isinstance(error, LOST):
            _fail(batch, error)
            return
        for place, item in enumerate(batch):
            try:
                self._run_together([item])
            except _CommitLost as lost:
                _fail([item], lost.__cause__ or lost)
            except Exception as own:
                _fail(batch[place:] if _is_gone(own) else [item], own)
                if _is_gone(own):
                    return

    def _run_together(self, batch: Sequence[_Item]) -> None:
        with self._engine.connect() as connection:
            tx = Transaction(connection, self.start_job)
            for item in batch:
                item.result = item.call(tx)
            tx.flush()
            try:
                connection.commit()
            except LOST as error:
                raise _CommitLost from error


class _CommitLost(Exception):
    """The connection went away in the commit: done or not, nobody knows, so it is not run again."""


def _fail(items: Sequence[_Item], error: BaseException) -> None:
    for item in items:
        item.error = away(error)


def _is_gone(error: Exception) -> bool:
    """No connection to be had, or SQLite held by another process for longer than we wait."""
    if isinstance(error, PoolTimeout):
        return True
    if not isinstance(error, (OperationalError, InterfaceError)):
        return False
    return error.connection_invalidated or error.statement is None or "locked" in str(error.orig)


def away(error: BaseException) -> BaseException:
    """A lost or locked database as DatabaseAway, everything else as it is."""
    if isinstance(error, LOST):
        told = DatabaseAway("The database does not answer; try again later.")
        told.__cause__ = error
        return told
    return error


def _answer(batch: Sequence[_Item]) -> None:
    """Wakes each event loop once for all its futures; one wake-up a future costs 15 µs each."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Item]] = {}
    for item in batch:
        if item.loop is None:
            item.answer()
        else:
            by_loop.setdefault(item.loop, []).append(item)
    for loop, items in by_loop.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(_answer_all, items)


def _answer_all(items: Sequence[_Item]) -> None:
    for item in items:
        item.answer()


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
        connect_args={"connect_timeout": 2, "tcp_user_timeout": 2000, "application_name": "optout"},
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


@cache
def insert_new(table: Table, is_sqlite: bool, *returning: str) -> Any:
    """INSERT … ON CONFLICT DO NOTHING RETURNING …: no row back means a unique index had it already."""
    statement = (sqlite_insert if is_sqlite else postgresql_insert)(table).on_conflict_do_nothing()
    return statement.returning(*(table.c[name] for name in returning or ("id",)))


def tune_gc() -> None:
    """After start-up: p99 of a webhook fell from 57 to 27 ms at 32 connections (DESIGN section 6)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
