import asyncio

import pytest
import structlog

from gateway import worker
from gateway.db import Database
from gateway.errors import DatabaseAway
from gateway.settings import load


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "PAUSE_WHEN_AWAY", 0.01)


def run_for(steps: list[bool | Exception]) -> list[bool | Exception]:
    """Repeats a step that answers or raises what is laid down, until nothing is; returns what was taken."""
    taken: list[bool | Exception] = []
    done = asyncio.Event()

    async def step() -> bool:
        answer = steps[len(taken)]
        taken.append(answer)
        if len(taken) == len(steps):
            done.set()
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def go() -> None:
        task = asyncio.create_task(worker._repeat(0.01, step))
        await asyncio.wait_for(done.wait(), 10)
        assert not task.done()
        task.cancel()

    asyncio.run(go())
    return taken


def test_a_step_is_repeated_whatever_it_raises() -> None:
    """An absent database is waited for, and a bug in one loop must not end the others."""
    steps: list[bool | Exception] = [True, False, DatabaseAway("away"), ValueError("a bug"), False]
    assert run_for(steps) == steps


def test_a_worker_waits_for_a_database_that_is_not_there(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = iter([DatabaseAway("away"), DatabaseAway("away"), False])

    async def beat(self: worker.Worker) -> bool:
        answer = next(tries)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def start() -> None:
        one = worker.Worker(db.settings, db)
        monkeypatch.setattr(worker.Worker, "beat", beat)
        monkeypatch.setattr(one.jobs, "launch", lambda: None)
        await one.start()
        await one.carrier.aclose()

    asyncio.run(start())
    assert next(tries, "none left") == "none left"


def test_a_launch_that_fails_is_told_and_tried_again(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    errors = iter([ValueError("no tables of the job engine"), None])

    def launch() -> None:
        error = next(errors)
        if error:
            raise error

    async def start() -> None:
        one = worker.Worker(db.settings, db)
        monkeypatch.setattr(one.jobs, "launch", launch)
        await one.start()
        await one.carrier.aclose()

    with structlog.testing.capture_logs() as logs:
        asyncio.run(start())
    assert [line["event"] for line in logs] == ["the worker cannot start, trying again"]
    assert next(errors, "none left") == "none left"


def test_without_a_server_the_heartbeat_says_so() -> None:
    """The real thing: no server behind the URL."""
    settings = load(database_url="postgresql://nobody@127.0.0.1:1/none", twilio_account_sid="AC1")
    away = Database(settings)

    async def beat() -> None:
        one = worker.Worker(settings, away)
        with pytest.raises(DatabaseAway):
            await one.beat()
        await one.carrier.aclose()

    asyncio.run(beat())
    away.close()


def test_a_worker_has_a_name_of_its_own(db: Database) -> None:
    async def names() -> set[str]:
        return {worker.Worker(db.settings, db).owner for _ in range(3)}

    assert len(asyncio.run(names())) == 3
