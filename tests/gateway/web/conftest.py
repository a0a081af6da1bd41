"""Pages are asked through the whole application, at the address that the settings name."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import pytest
from starlette.testclient import TestClient

from gateway.db import Database
from gateway.models import OutboundMessage
from gateway.settings import Settings
from tests.gateway.helpers import queue_link

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

    def make(program_id: int, sender_id: int, number: str = "+4915123456789") -> str:
        return queue_link(db, now, program_id, sender_id, number)

    return make
