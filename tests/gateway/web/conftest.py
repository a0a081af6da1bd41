"""Pages are asked through the whole application, at the address that the settings name."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from gateway import links, outbox
from gateway.db import Database, Transaction
from gateway.models import Category, OutboundMessage
from gateway.settings import Settings

outbound = OutboundMessage.__table__  # type: ignore[attr-defined]

PHONE = (
    "Mozilla/5.0 (Linux; Android 14; SM-A155F) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/131.0.0.0 Mobile Safari/537.36"
)


class Clock:
    """The application's time; a test moves it on."""

    def __init__(self, start: datetime) -> None:
        self.time = start

    def __call__(self) -> datetime:
        return self.time

    def pass_(self, **span: float) -> None:
        self.time += timedelta(**span)


@pytest.fixture
def clock(now: datetime) -> Clock:
    return Clock(now)


@pytest.fixture
def browser(settings: Settings, db: Database, clock: Clock) -> Iterator[TestClient]:
    """A phone's browser at the gateway."""
    from gateway.app import create_app

    app = create_app(settings, db, now=clock)
    with TestClient(app, base_url=settings.public_url, headers={"user-agent": PHONE}) as client:
        yield client


@pytest.fixture
def link_to(db: Database, now: datetime) -> Callable[..., str]:
    """Puts a text with a link into the outbox; returns the link's token."""

    def make(program_id: int, sender_id: int, number: str = "+4915123456789", **columns: object) -> str:
        token = links.new_token()
        row = outbox.row(
            program_id=program_id,
            sender_id=sender_id,
            number=number,
            body="Sale!",
            category=Category.MARKETING,
            kind="campaign",
            now=now,
            link_token=token,
        )
        db.writer.run(_insert, row | columns)
        return token

    return make


def _insert(tx: Transaction, row: dict[str, object]) -> None:
    tx.execute(sa.insert(outbound), row)
