"""The job engine itself, on both databases: lost jobs come back, dead workers' jobs do not block a sender."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from dbos import DBOS

from gateway import campaigns, jobs
from gateway.db import Database
from gateway.dispatch import Dispatcher
from gateway.models import Campaign, CampaignState, State
from tests.gateway.helpers import queue, rows, texts
from tests.gateway.test_dispatch import Socket

SHE = "+4915735981001"


@pytest.fixture
def starter(db: Database) -> jobs.Starter:
    """Ends with its database."""
    found = jobs.Starter(db.settings)
    db.writer.start_job = found
    return found


@pytest.fixture
def sender(make_program: Callable[..., int], make_sender: Callable[..., int]) -> int:
    return make_sender(make_program())


@contextmanager
def engine(db: Database, socket: Socket, owner: str = "w1") -> Iterator[jobs.Jobs]:
    """A running engine whose dispatcher has a loop of its own on another thread."""
    import threading

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def make() -> jobs.Jobs:
        return jobs.Jobs(db.settings, db, Dispatcher(db, socket, db.settings, owner))

    made = asyncio.run_coroutine_threadsafe(make(), loop).result()
    db.writer.run(jobs.beat, owner, datetime.now(UTC) + timedelta(hours=1))
    made.launch()
    try:
        yield made
    finally:
        made.close()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def until(look: Callable[[], object], seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < end
        time.sleep(0.02)


def all_sent(db: Database, count: int) -> bool:
    return len(texts(db, state=State.SENT)) == count


def test_a_job_starts_with_the_transaction_that_makes_its_work(
    db: Database, sender: int, starter: jobs.Starter
) -> None:
    now = datetime.now(UTC)
    campaign = db.writer.run(
        campaigns.create, program_id=1, sender_id=sender, name="c", text="x", created_by="t", now=now
    )
    db.writer.run(campaigns.add_recipients, campaign, [SHE, "+4915735981002"], now)

    def start_and_fail(tx: object) -> None:
        campaigns.start(tx, campaign, now)  # type: ignore[arg-type]
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        db.writer.run(start_and_fail)
    assert _jobs(db) == 0
    db.writer.run(campaigns.start, campaign, now)
    assert _jobs(db) == 1
    with engine(db, Socket()):
        until(lambda: all_sent(db, 2))


def test_lost_jobs_are_rebuilt_from_the_tables(db: Database, sender: int, starter: jobs.Starter) -> None:
    """Texts queued and a campaign started by somebody whose jobs never came to be."""
    now = datetime.now(UTC)
    queue(db, now, program_id=1, sender_id=sender, number=SHE)
    campaign = db.writer.run(
        campaigns.create, program_id=1, sender_id=sender, name="c", text="x", created_by="t", now=now
    )
    db.writer.run(campaigns.add_recipients, campaign, ["+4915735981002"], now)
    db.writer.start_job = None
    db.writer.run(campaigns.start, campaign, now)
    db.writer.start_job = starter
    with engine(db, Socket()) as running:
        running.reap()
        until(lambda: all_sent(db, 2))
        assert rows(db, Campaign)[0].state == CampaignState.EXPANDED


def test_reaping_again_starts_nothing_twice(db: Database, sender: int, starter: jobs.Starter) -> None:
    queue(db, datetime.now(UTC), program_id=1, sender_id=sender, number=SHE)
    with engine(db, Socket()) as running:
        for _ in range(3):
            running.reap()
        assert _jobs(db) == 1
        until(lambda: all_sent(db, 1))


def test_a_dead_workers_job_does_not_block_its_sender(db: Database, sender: int, starter: jobs.Starter) -> None:
    """At most one chunk a sender: the dead one's place must become free."""
    queue(db, datetime.now(UTC), program_id=1, sender_id=sender, number=SHE)
    db.writer.run(jobs._start, jobs.DISPATCH, sender)
    table = "workflow_status" if db.settings.is_sqlite else "dbos.workflow_status"
    db.writer.run(
        lambda tx: tx.connection.exec_driver_sql(
            f"UPDATE {table} SET status = 'PENDING', executor_id = 'dead worker'"
        )
    )
    with engine(db, Socket()) as running:
        running.reap()
        until(lambda: all_sent(db, 1))
        dead = DBOS.list_workflows(executor_id="dead worker", status="PENDING")
        assert dead == []


def _jobs(db: Database) -> int:
    table = "workflow_status" if db.settings.is_sqlite else "dbos.workflow_status"
    query = sa.text(f"SELECT count(*) FROM {table}")
    return int(db.reading(lambda connection: connection.execute(query).scalar_one()))


def test_a_heartbeat_is_written_anew_when_somebody_forgot_us(db: Database, now: datetime) -> None:
    db.writer.run(jobs.beat, "w1", now)
    db.writer.run(jobs.leave, "w1")
    db.writer.run(jobs.beat, "w1", now + timedelta(seconds=1))
    assert db.reading(jobs._alive, now) == {"w1"}


def test_workers_long_gone_are_forgotten(db: Database, now: datetime) -> None:
    db.writer.run(jobs.beat, "old", now)
    db.writer.run(jobs.beat, "new", now + jobs.FORGET_WORKERS_AFTER + timedelta(seconds=1))
    assert db.reading(jobs._alive, now - timedelta(days=9)) == {"new"}
