"""Sending 20,000 queued texts against the SDK alone: `python -m tests.benchmarks.dispatch`.

sqlite_vs_naked_sdk       texts a second of ours ÷ of the SDK's own async client in a gather loop with the same
                          concurrency, no database
postgresql_vs_naked_sdk   the same over a durable PostgreSQL
…_vs_own_client           against our own HTTP client under the SDK in that loop: what the database costs
texts_per_second          ours on SQLite

Both talk to the same stub in a process of its own, both on uvloop; no status callbacks come.
"""

import asyncio
import tempfile
import warnings
from collections.abc import Awaitable, Callable
from functools import partial
from time import perf_counter

import sqlalchemy as sa
import uvloop
from twilio.http.async_http_client import AsyncTwilioHttpClient
from twilio.rest import Client

from gateway.carrier import OutgoingText
from gateway.carrier.twilio import TwilioCarrier
from gateway.db import Database, tune_gc
from gateway.dispatch import Dispatcher
from gateway.models import OutboundMessage, State
from tests.benchmarks import servers
from tests.benchmarks.common import Figures, main
from tests.benchmarks.forms import ACCOUNT, PUBLIC_URL, TOKEN, US_SENDER, settings
from tests.benchmarks.stub import running_stub
from tests.benchmarks.texts import BODY, put_queued
from tests.postgres import Cluster

SIZE, QUICK_SIZE = 20_000, 2_000
WARM_UP = 200

outbound = OutboundMessage.__table__  # type: ignore[attr-defined]


def measure(cluster: Cluster, stub: str, quick: bool) -> Figures:
    """One round; the SDK's turn comes before and after ours."""
    size = QUICK_SIZE if quick else SIZE
    with tempfile.TemporaryDirectory() as home:
        urls = {"sqlite": servers.on_sqlite(home), "postgresql": servers.on_postgresql(cluster)}
        before = _run(_naked(stub, size))
        ours = {name: _run(_dispatched(stub, url, size)) for name, url in urls.items()}
        own_client = _run(_own_client(stub, size))
        naked = (before + _run(_naked(stub, size))) / 2
    return {
        **{f"{name}_vs_naked_sdk": speed / naked for name, speed in ours.items()},
        **{f"{name}_vs_own_client": speed / own_client for name, speed in ours.items()},
        "texts_per_second": ours["sqlite"],
        "naked_per_second": naked,
    }


def _run(work: Awaitable[float]) -> float:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)  # type: ignore[arg-type]


async def _naked(stub: str, size: int) -> float:
    http = AsyncTwilioHttpClient()
    client = Client(ACCOUNT, TOKEN, http_client=http)
    client.api.base_url = stub

    async def send(place: int) -> None:
        await client.messages.create_async(
            to=_number(place), body=BODY, from_=US_SENDER, status_callback=_callback(place)
        )

    speed = await _gathered(send, size)
    await http.close()
    return speed


async def _own_client(stub: str, size: int) -> float:
    carrier = _carrier(stub)

    async def send(place: int) -> None:
        await carrier.send(
            OutgoingText(to=_number(place), body=BODY, sender=US_SENDER, status_callback=_callback(place))
        )

    speed = await _gathered(send, size)
    await carrier.aclose()
    return speed


async def _gathered(send: Callable[[int], Awaitable[None]], size: int) -> float:
    """Texts a second in the plainest loop there is."""
    slots = asyncio.Semaphore(settings("sqlite://").send_concurrency)

    async def in_turn(place: int) -> None:
        async with slots:
            await send(place)

    await asyncio.gather(*map(in_turn, range(WARM_UP)))
    began = perf_counter()
    await asyncio.gather(*map(in_turn, range(size)))
    return size / (perf_counter() - began)


async def _dispatched(stub: str, database_url: str, size: int) -> float:
    """Texts a second from the queue to `sent`, claimed, settled and audited."""
    chosen = settings(database_url)
    db, carrier = Database(chosen), _carrier(stub)
    dispatcher = Dispatcher(db, carrier, chosen, "benchmark")
    put_queued(chosen, WARM_UP)
    await dispatcher.dispatch(1, None)
    put_queued(chosen, size)
    began = perf_counter()
    while await dispatcher.dispatch(1, None):
        pass
    seconds = perf_counter() - began
    await carrier.aclose()
    sent = db.reading(_count_sent)
    db.close()
    if sent != WARM_UP + size:
        raise RuntimeError(f"{sent} texts sent instead of {WARM_UP + size}")
    return size / seconds


def _count_sent(connection: sa.Connection) -> int:
    return connection.execute(sa.select(sa.func.count()).where(outbound.c.state == State.SENT)).scalar_one()


def _carrier(stub: str) -> TwilioCarrier:
    concurrency = settings("sqlite://").send_concurrency
    return TwilioCarrier(ACCOUNT, TOKEN, api_url=stub, concurrency=concurrency)


def _number(place: int) -> str:
    return f"+49157{35000000 + place}"


def _callback(place: int) -> str:
    return f"{PUBLIC_URL}/twilio/status?m={place}"


if __name__ == "__main__":
    # aiohttp deprecates what the SDK's own client calls on every request.
    warnings.simplefilter("ignore", DeprecationWarning)
    tune_gc()
    with Cluster.running(durable=True) as cluster, running_stub() as stub:
        main("dispatch", partial(measure, cluster, stub))
