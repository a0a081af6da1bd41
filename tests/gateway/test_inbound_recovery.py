import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from gateway import inbound_recovery
from gateway.carrier import ListedMessage, OutcomeUnknown
from gateway.db import Database
from gateway.models import Category, State
from gateway.optouts import is_out
from tests.gateway.helpers import inbounds, sid, text_in, texts
from tests.gateway.test_dispatch import Socket

SHE, OUR = "+4915735981001", "+4915735980000"


class Listing(Socket):
    """A carrier whose list of received texts the test lays down."""

    def __init__(self, *messages: ListedMessage) -> None:
        super().__init__()
        self.messages = list(messages)

    async def list_received(self, since: datetime, until: datetime, to: str | None = None) -> list[ListedMessage]:
        if self.list_error:
            raise self.list_error
        return [m for m in self.messages if since <= m.created_at <= until and m.to == to]


@pytest.fixture(autouse=True)
def program(make_program: Callable[..., int], make_sender: Callable[..., int]) -> int:
    program = make_program()
    make_sender(program)
    return program


def message(body: str, at: datetime, sender: str = SHE) -> ListedMessage:
    return ListedMessage(sid(), OUR, sender, body, "received", None, at, "inbound")


def recover(db: Database, carrier: Listing, now: datetime) -> int:
    return asyncio.run(inbound_recovery.recover(db, carrier, db.settings, now))


def test_a_missed_stop_takes_effect(db: Database, now: datetime, program: int) -> None:
    carrier = Listing(message("STOP", now - timedelta(minutes=2)), message("hi", now - timedelta(minutes=1)))
    assert recover(db, carrier, now) == 2
    assert db.reading(is_out, SHE, Category.MARKETING, program)
    assert [t.state for t in texts(db)] == [State.QUEUED]
    assert recover(db, carrier, now) == 0
    assert len(inbounds(db)) == 2


def test_its_confirmation_is_not_sent_late(db: Database, now: datetime) -> None:
    """P4: five minutes count from her text, not from our waking up."""
    recover(db, Listing(message("STOP", now - timedelta(minutes=6))), now)
    assert [t.expires_at < now for t in texts(db)] == [True]


def test_a_missed_start_opens_only_what_is_older(db: Database, now: datetime, program: int) -> None:
    text_in(db, SHE, "STOP", now - timedelta(minutes=10))
    recover(db, Listing(message("START", now - timedelta(minutes=11))), now)
    assert db.reading(is_out, SHE, Category.MARKETING, program)
    recover(db, Listing(message("START", now - timedelta(minutes=9))), now)
    assert not db.reading(is_out, SHE, Category.MARKETING, program)


def test_in_the_order_they_were_sent(db: Database, now: datetime, program: int) -> None:
    newest_first = [message("STOP", now - timedelta(minutes=1)), message("START", now - timedelta(minutes=2))]
    recover(db, Listing(*newest_first), now)
    assert [row.body for row in inbounds(db)] == ["START", "STOP"]
    assert db.reading(is_out, SHE, Category.MARKETING, program)


def test_it_is_the_same_person_as_at_the_webhook(db: Database, now: datetime, program: int) -> None:
    """Old Mexican numbers carry a 1 that campaigns' numbers do not have; no database stores a NUL."""
    listed = [message("ST\0OP", now, "+5215512345678"), message("STOP", now, "whatsapp:+4915735981009")]
    assert recover(db, Listing(*listed), now) == 2
    for number in ("+525512345678", "+4915735981009"):
        assert db.reading(is_out, number, Category.MARKETING, program)


def test_a_malformed_one_does_not_stop_the_rest(db: Database, now: datetime) -> None:
    assert recover(db, Listing(message("STOP", now, ""), message("STOP", now)), now) == 1


def test_without_the_list_it_tries_again_later(db: Database, now: datetime) -> None:
    carrier = Listing(message("STOP", now))
    carrier.list_error = OutcomeUnknown("HTTP 500")
    assert recover(db, carrier, now) == 0
    carrier.list_error = None
    assert recover(db, carrier, now) == 1
