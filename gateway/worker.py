"""`optout worker`: jobs, the reply lane beside them, the heartbeat, and the settling of texts in doubt.

A database that is away is waited for; the worker goes on when it is back.
"""

import asyncio
import contextlib
import signal
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime

import structlog

from gateway import inbound_recovery, jobs, outbox
from gateway.carrier.twilio import TwilioCarrier
from gateway.db import Database, tune_gc
from gateway.dispatch import Dispatcher
from gateway.errors import DatabaseAway
from gateway.logs import configure
from gateway.migrations import require_newest
from gateway.settings import Settings

log = structlog.get_logger()

BEATS_A_GRACE = 5
RECONCILE_EVERY = 0.5
REAP_EVERY = 1.0
# Twilio retries a webhook for seconds, not minutes; what it gave up on is fetched from its list.
RECOVER_EVERY = 300.0
PAUSE_WHEN_AWAY = 1.0


class Worker:
    """The loops of one worker process."""

    def __init__(self, settings: Settings, db: Database) -> None:
        self.settings = settings
        self.db = db
        self.owner = uuid.uuid4().hex
        self.carrier = TwilioCarrier(
            settings.twilio_account_sid,
            settings.auth_tokens[0] if settings.auth_tokens else "",
            api_url=settings.twilio_api_url,
            concurrency=settings.send_concurrency,
            timeout=settings.twilio_timeout,
        )
        self.dispatcher = Dispatcher(db, self.carrier, settings, self.owner)
        self.jobs = jobs.Jobs(settings, db, self.dispatcher)
        self._launched = False

    async def start(self) -> None:
        """Joins the workers; waits for a database that is not there yet, or not for the job engine."""
        while not self._launched:
            try:
                await self.beat()
                await asyncio.to_thread(self.jobs.launch)
                self._launched = True
            except DatabaseAway:
                log.warning("database away, waiting")
                await asyncio.sleep(PAUSE_WHEN_AWAY)
            except Exception:
                # Beside the web nobody would notice that this process has no worker.
                log.exception("the worker cannot start, trying again")
                await asyncio.sleep(PAUSE_WHEN_AWAY)

    async def run(self) -> None:
        """Joins and works until cancelled."""
        await self.start()
        tune_gc()
        log.info("worker ready", worker=self.owner)
        async with asyncio.TaskGroup() as group:
            for every, step in (
                (self.settings.worker_grace / BEATS_A_GRACE, self.beat),
                (self.settings.poll_interval, self.answer),
                (RECONCILE_EVERY, self.reconcile),
                (REAP_EVERY, self.reap),
                (RECOVER_EVERY, self.recover),
            ):
                group.create_task(_repeat(every, step))

    async def stop(self) -> None:
        if self._launched:
            await asyncio.to_thread(self.jobs.close)
            with contextlib.suppress(DatabaseAway):
                await self.db.writer.submit(jobs.leave, self.owner)
        await self.carrier.aclose()

    async def beat(self) -> bool:
        await self.db.writer.submit(jobs.beat, self.owner, datetime.now(UTC))
        return False

    async def answer(self) -> bool:
        """One look at the reply lane; a look costs a read, a write only where there is something."""
        due, expired = await self.db.read(outbox.replies_waiting, datetime.now(UTC))
        if expired:
            await self.db.writer.submit(outbox.drop_expired, datetime.now(UTC))
        return due and await self.dispatcher.answer() > 0

    async def reconcile(self) -> bool:
        await self.dispatcher.reconcile()
        return False

    async def reap(self) -> bool:
        await asyncio.to_thread(self.jobs.reap)
        return False

    async def recover(self) -> bool:
        await inbound_recovery.recover(self.db, self.carrier, self.settings, datetime.now(UTC))
        return False


async def _repeat(every: float, step: Callable[[], Awaitable[bool]]) -> None:
    """Repeats the step, at once while it says there is more; waits for a database that is away.

    An error ends the step, never the worker: the other loops are what settles texts in doubt.
    """
    while True:
        more = False
        try:
            more = await step()
        except DatabaseAway:
            log.warning("database away, waiting")
            await asyncio.sleep(PAUSE_WHEN_AWAY)
        except Exception:
            log.exception("a worker's step failed", step=step.__name__)
            await asyncio.sleep(PAUSE_WHEN_AWAY)
        if not more:
            await asyncio.sleep(every)


@contextlib.asynccontextmanager
async def running(settings: Settings, db: Database) -> AsyncIterator[Worker]:
    """A worker beside something else; it joins by itself, however long the database takes to be there."""
    worker = Worker(settings, db)
    task = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await worker.stop()


def work(settings: Settings) -> None:
    """Runs a worker until SIGTERM or Ctrl-C. Raises Conflict where the schema is not this program's."""
    configure(settings)
    require_newest(settings)
    with asyncio.Runner() as runner:
        runner.run(_work(settings))


async def _work(settings: Settings) -> None:
    db = open_database(settings)
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    try:
        async with running(settings, db):
            await stop.wait()
    finally:
        await asyncio.to_thread(db.close)


def open_database(settings: Settings) -> Database:
    """A database whose verbs can start jobs."""
    db = Database(settings)
    db.writer.start_job = jobs.Starter(settings)
    return db
