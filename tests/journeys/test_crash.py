"""P8 under SIGKILL: a real worker process dies in the middle of a campaign, another one goes on."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from gateway import campaigns, links
from gateway.db import Database
from gateway.models import OutboundMessage
from gateway.settings import Settings
from tests.journeys.stage import ACCOUNT, TOKEN, Sandbox, carrier, open_database, pointed, until

TEXTS = 1500
GRACE = 5.0
outbound = OutboundMessage.__table__  # type: ignore[attr-defined]


@contextmanager
def worker(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    """`optout worker` as a process of its own."""
    environment = {
        **os.environ,
        "DATABASE_URL": settings.database_url,
        "PUBLIC_URL": settings.public_url,
        "TWILIO_ACCOUNT_SID": ACCOUNT,
        "TWILIO_AUTH_TOKEN": TOKEN,
        "TWILIO_API_URL": settings.twilio_api_url or "",
        "DOUBT_GRACE": str(GRACE),
        "TWILIO_TIMEOUT": "2",
        "POLL_INTERVAL": "0.05",
        "LOG_LEVEL": "ERROR",
    }
    process = subprocess.Popen([sys.executable, "-m", "gateway", "worker"], env=environment)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) is not None


def states(db: Database) -> Counter[str]:
    query = sa.select(outbound.c.state, sa.func.count()).group_by(outbound.c.state)
    return Counter({s.value: n for s, n in db.reading(lambda c: c.execute(query).all())})


def in_doubt(db: Database) -> dict[str, int]:
    """Link token → id of what the dead worker held."""
    query = sa.select(outbound.c.link_token, outbound.c.id).where(outbound.c.state == "sending")
    return {row.link_token: row.id for row in db.reading(lambda c: c.execute(query).all())}


def tokens(sandbox: Sandbox, settings: Settings) -> list[str]:
    found = [
        links.find_token(m["body"], link_url=None, public_url=settings.public_url) for m in sandbox.outbound()
    ]
    assert all(found)
    return [token for token in found if token]


def start_campaign(db: Database, make_program: Callable[..., int], make_sender: Callable[..., int]) -> None:
    program = make_program()
    sender, now = make_sender(program), datetime.now(UTC)
    campaign = db.writer.run(
        campaigns.create, program_id=program, sender_id=sender, name="c", text="Hi", created_by="t", now=now
    )
    numbers = [f"+4915735{n:06}" for n in range(TEXTS)]
    for at in range(0, TEXTS, 500):
        db.writer.run(campaigns.add_recipients, campaign, numbers[at : at + 500], now)
    db.writer.run(campaigns.start, campaign, now)


@pytest.mark.crash
@pytest.mark.parametrize("lag", [0.0, 1.5], ids=["list-at-once", "list-lags"])
def test_p8_a_text_is_handed_over_at_most_once_whatever_dies(
    settings: Settings, make_program: Callable[..., int], make_sender: Callable[..., int], lag: float
) -> None:
    faults = {"latency": 0.1, "list_lag": lag, "callbacks": False}
    with carrier("", log_file=None) as sandbox, open_database(settings) as db:
        sandbox.faults(**faults)
        here = pointed(settings, 1, sandbox)
        start_campaign(db, make_program, make_sender)
        with worker(here) as first:
            until(lambda: len(sandbox.outbound()) > TEXTS // 5, 30)
            first.kill()
            first.wait()
            held, listed = in_doubt(db), set(tokens(sandbox, here))
            killed = time.monotonic()
            with worker(here):
                adopted = {token for token in held if token in listed}
                until(lambda: not adopted & in_doubt(db).keys(), 20)
                took = time.monotonic() - killed
                until(lambda: states(db).keys() <= {"sent", "delivered"}, 60)
        # The sandbox kept a list of what it really accepted.
        sent = Counter(tokens(sandbox, here))
    print(f"in doubt {len(held)}, listed {len(adopted)}, adopted within {took:.1f} s of the kill")
    # Not vacuous: some were listed and adopted, some had never left and were queued again.
    assert len(held) > len(adopted) > 0
    assert took < 5 + lag
    assert len(sent) == TEXTS
    assert max(sent.values()) == 1
