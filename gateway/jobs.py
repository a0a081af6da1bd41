"""Durable jobs: DBOS behind three verbs, so that it stays replaceable.

Message rows and campaigns are the truth. A job is one push to work on them and may be lost or run twice
without harm: `Jobs.reap` finds work that no live job stands for and starts one. DBOS keeps its tables in the
same database (schema `dbos` on PostgreSQL), so a job is enqueued in the transaction that makes the work.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from dbos import DBOS, DBOSClient, DBOSConfig
from sqlalchemy import Connection, delete, literal_column, select

from gateway import campaigns
from gateway.db import Database, Transaction
from gateway.dispatch import Dispatcher
from gateway.migrations import upgrade
from gateway.models import Campaign, CampaignState, OutboundMessage, Sender, Worker
from gateway.settings import Settings

R = TypeVar("R")

APP = "optout"
# Pinned: by default DBOS hashes the code, and a deploy would strand the jobs of the version before.
VERSION = "1"
DISPATCH = "dispatch"
EXPAND = "expand"
LIVE = ["ENQUEUED", "PENDING", "DELAYED"]
FORGET_WORKERS_AFTER = timedelta(days=1)

outbound = OutboundMessage.__table__  # type: ignore[attr-defined]
senders = Sender.__table__  # type: ignore[attr-defined]
workers = Worker.__table__  # type: ignore[attr-defined]
campaign_table = Campaign.__table__  # type: ignore[attr-defined]


def migrate(settings: Settings) -> None:
    """Brings our schema and the job engine's to the newest version."""
    upgrade(settings)
    logging.getLogger("dbos").setLevel(logging.WARNING)
    DBOS.migrate(settings.database_url)


class Starter:
    """Enqueues jobs from any process, within the caller's transaction."""

    def __init__(self, settings: Settings) -> None:
        self._client = DBOSClient(system_database_url=settings.database_url, application_name=APP, lazy=True)

    def __call__(self, connection: Connection, name: str, key: int) -> None:
        """Enqueues `dispatch` of a sender or `expand` of a campaign; at most one chunk a sender runs at once."""
        self._client.enqueue_in_transaction(
            connection,
            {
                "workflow_name": name,
                "queue_name": name,
                "queue_partition_key": str(key),
                "app_version": VERSION,
            },
            key,
        )

    def close(self) -> None:
        self._client.destroy()


class Jobs:
    """The job engine of one worker process."""

    def __init__(self, settings: Settings, db: Database, dispatcher: Dispatcher) -> None:
        self.settings = settings
        self.db = db
        self.dispatcher = dispatcher
        self._loop = asyncio.get_running_loop()
        self._stopping = False

    def launch(self) -> None:
        """Starts taking jobs. Call from a thread: it waits for the database."""
        config: DBOSConfig = {
            "name": APP,
            "system_database_url": self.settings.database_url,
            "application_version": VERSION,
            "executor_id": self.dispatcher.owner,
            "run_migrations": False,
            "log_level": "WARNING",
            "console_log_level": "WARNING",
        }
        # Whatever a launch that failed has left behind.
        DBOS.destroy(destroy_registry=True)
        DBOS(config=config)
        _through_our_log()
        _register(DISPATCH, self._dispatch)
        _register(EXPAND, self._expand)
        DBOS.launch()
        for queue in (DISPATCH, EXPAND):
            DBOS.register_queue(
                queue,
                partition_concurrency=1,
                polling_interval_sec=self.settings.poll_interval,
                on_conflict="always_update",
            )

    def close(self) -> None:
        """Ends the job engine; a chunk that runs is given time to settle what it has claimed."""
        self._stopping = True
        DBOS.destroy(destroy_registry=True, workflow_completion_timeout_sec=15)

    def reap(self) -> None:
        """Rebuilds lost jobs from the tables. Every worker does this; doing it twice does no harm."""
        alive = self.db.reading(_alive, _now() - timedelta(seconds=self.settings.worker_grace))
        live = DBOS.list_workflows(status=LIVE, load_input=False, load_output=False)
        dead = [job.workflow_id for job in live if job.status == "PENDING" and job.executor_id not in alive]
        if dead:
            DBOS.cancel_workflows(dead)
        standing = {(job.name, job.queue_partition_key) for job in live if job.workflow_id not in dead}
        for name, key in self.db.reading(_work, _now()):
            if (name, str(key)) not in standing:
                self.db.writer.run(_start, name, key)

    def _dispatch(self, sender_id: int) -> None:
        rate = self.db.reading(_rate, sender_id)
        more = self._on_loop(lambda: self.dispatcher.dispatch(sender_id, rate))
        if more and not self._stopping:
            self.db.writer.run(_start, DISPATCH, sender_id)

    def _expand(self, campaign_id: int) -> None:
        while not self._stopping and self.db.writer.run(
            campaigns.expand_batch, campaign_id, self.settings, _now()
        ):
            pass

    def _on_loop(self, work: Callable[[], Coroutine[Any, Any, R]]) -> R:
        """Runs a coroutine on the worker's loop, where the carrier's connections live."""
        return asyncio.run_coroutine_threadsafe(work(), self._loop).result()


def _through_our_log() -> None:
    """DBOS gives its logger a handler of its own, which would print a failing job's traceback unmasked."""
    logger = logging.getLogger("dbos")
    logger.handlers.clear()
    logger.propagate = True


def _register(name: str, work: Callable[[int], None]) -> None:
    """A workflow of one step; a function of its own because DBOS marks what it wraps."""

    @DBOS.workflow(name=name)
    def workflow(key: int) -> None:
        work(key)


def beat(tx: Transaction, owner: str, now: datetime) -> None:
    """The worker's heartbeat; written anew if somebody has forgotten us."""
    found = tx.execute(workers.update().where(workers.c.id == owner).values(beat_at=now))
    if not found.rowcount:
        tx.execute(workers.insert(), {"id": owner, "beat_at": now})
        tx.execute(delete(workers).where(workers.c.beat_at < now - FORGET_WORKERS_AFTER))


def leave(tx: Transaction, owner: str) -> None:
    """An orderly end: whatever we still held is in doubt at once, without waiting for the grace."""
    tx.execute(delete(workers).where(workers.c.id == owner))


def _start(tx: Transaction, name: str, key: int) -> None:
    tx.start_job(name, key)


def _alive(connection: Connection, since: datetime) -> set[str]:
    return set(connection.execute(select(workers.c.id).where(workers.c.beat_at > since)).scalars())


def _work(connection: Connection, now: datetime) -> list[tuple[str, int]]:
    """What there is to do: senders with due texts, campaigns not yet expanded."""
    due = (
        select(senders.c.id)
        .where(
            select(outbound.c.id)
            .where(
                literal_column("outbound_messages.state = 'queued'"),
                literal_column("outbound_messages.category <> 'reply'"),
                outbound.c.sender_id == senders.c.id,
                outbound.c.send_after <= now,
            )
            .exists()
        )
        .order_by(senders.c.id)
    )
    running = select(campaign_table.c.id).where(campaign_table.c.state == CampaignState.RUNNING)
    return [
        *((DISPATCH, sender) for sender in connection.execute(due).scalars()),
        *((EXPAND, campaign) for campaign in connection.execute(running).scalars()),
    ]


def _rate(connection: Connection, sender_id: int) -> float | None:
    rate: float | None = connection.execute(select(senders.c.rate).where(senders.c.id == sender_id)).scalar_one()
    return rate


def _now() -> datetime:
    return datetime.now(UTC)
