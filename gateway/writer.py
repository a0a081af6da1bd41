"""The writer: threads that run waiting verbs in one transaction and answer them after its commit.

If one of the verbs fails, the batch is rolled back and run again item by item; so a verb must have no effect
outside its transaction and may run twice.
"""

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from itertools import groupby
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from gateway.errors import DatabaseAway, StatementFailed
from gateway.transaction import JobStarter, Transaction

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
Verb = Callable[Concatenate[Transaction, P], R]
GroupVerb = Callable[[Transaction, Sequence[T]], Sequence[R]]

# 128 verbs a commit reached 3,400-3,700 requests/s; more only makes the first one wait longer.
BATCH = 128
# At 2,000 a second this is 5 s of work: whoever comes later would have been answered 503 anyway.
MOST_WAITING = 10_000
LOST = (OperationalError, InterfaceError, PoolTimeout)
# PostgreSQL's SQLSTATE for a lock not got within lock_timeout.
LOCK_NOT_AVAILABLE = "55P03"
# Run again, a verb sees the row that another process wrote first, or comes after the deadlock.
AGAIN = (*LOST, IntegrityError)


class _Item:
    """One thing for a verb to do on its way through the writer, and where its answer goes."""

    __slots__ = ("error", "future", "given", "loop", "result", "verb")

    def __init__(self, verb: GroupVerb[Any, Any], given: Any, loop: asyncio.AbstractEventLoop | None) -> None:
        self.verb = verb
        self.given = given
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
        return self._enqueue(_alone(verb, args, kwargs), None, asyncio.get_running_loop())  # type: ignore[no-any-return]

    def submit_together(self, verb: GroupVerb[T, R], given: T) -> "asyncio.Future[R]":
        """Like `submit`, but what waits for the same verb is given to it in one call, one answer each."""
        return self._enqueue(verb, given, asyncio.get_running_loop())  # type: ignore[no-any-return]

    def run(self, verb: Verb[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """From a thread: waits for the commit."""
        return self._enqueue(_alone(verb, args, kwargs), None, None).result()  # type: ignore[no-any-return]

    def close(self) -> None:
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            thread.join()

    def _enqueue(self, verb: GroupVerb[Any, Any], given: Any, loop: asyncio.AbstractEventLoop | None) -> Any:
        if self._waiting.qsize() > MOST_WAITING:
            raise DatabaseAway("The database cannot keep up; try again later.")
        item = _Item(verb, given, loop)
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
        """The batch again item by item: a poisoned one fails alone, who lost a race gets its turn."""
        if len(batch) == 1 and not isinstance(error, AGAIN):
            _fail(batch, error)
            return
        for place, item in enumerate(batch):
            try:
                self._run_alone(item)
            except _CommitLost as lost:
                _fail([item], lost.__cause__ or lost)
            except Exception as own:
                _fail(batch[place:] if _is_gone(own) else [item], own)
                if _is_gone(own):
                    return

    def _run_alone(self, item: _Item) -> None:
        """Of several copies all may lose once; after that the winner's row is there to be seen."""
        try:
            self._run_together([item])
        except IntegrityError:
            self._run_together([item])

    def _run_together(self, batch: Sequence[_Item]) -> None:
        with self._engine.connect() as connection:
            tx = Transaction(connection, self.start_job)
            for verb, items in groupby(batch, key=_verb):
                _run_group(tx, verb, list(items))
            tx.flush()
            try:
                connection.commit()
            except LOST as error:
                raise _CommitLost from error


def _alone(verb: Callable[..., Any], args: Any, kwargs: Any) -> GroupVerb[Any, Any]:
    """A verb as a group of its own."""
    return lambda tx, _: [verb(tx, *args, **kwargs)]


def _verb(item: _Item) -> GroupVerb[Any, Any]:
    return item.verb


def _run_group(tx: Transaction, verb: GroupVerb[Any, Any], items: Sequence[_Item]) -> None:
    for item, result in zip(items, verb(tx, [item.given for item in items]), strict=True):
        item.result = result


class _CommitLost(Exception):
    """The connection went away in the commit: done or not, nobody knows, so it is not run again."""


def _fail(items: Sequence[_Item], error: BaseException) -> None:
    for item in items:
        item.error = away(error)


def _is_gone(error: BaseException) -> bool:
    """No connection to be had, or a lock held by somebody else for longer than we wait."""
    if isinstance(error, PoolTimeout):
        return True
    if not isinstance(error, (OperationalError, InterfaceError)):
        return False
    if error.connection_invalidated or error.statement is None:
        return True
    return "database is locked" in str(error.orig) or getattr(error.orig, "sqlstate", "") == LOCK_NOT_AVAILABLE


def away(error: BaseException) -> BaseException:
    """What leaves the database layer: DatabaseAway for a lost or locked one, other failures without values.

    PostgreSQL's DETAIL quotes the failing row, and a row may hold somebody's number or words.
    """
    if _is_gone(error):
        told: BaseException = DatabaseAway("The database does not answer; try again later.")
        told.__cause__ = _without_values(error)
        return told
    return _without_values(error)


def _without_values(error: BaseException) -> BaseException:
    if not isinstance(error, DBAPIError):
        return error
    primary = getattr(getattr(error.orig, "diag", None), "message_primary", None)
    return StatementFailed(f"{type(error.orig).__name__}: {primary or error.orig}")


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
