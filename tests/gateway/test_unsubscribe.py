"""What a tap does, apart from its page."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa

from gateway import links, optouts, phone, regions, unsubscribe
from gateway.db import Database
from gateway.models import AuditEvent, OptOut, OutboundMessage, Scope, Source
from gateway.optouts import Signal
from gateway.unsubscribe import Reason
from tests.gateway.helpers import queue_link

outbound = OutboundMessage.__table__  # type: ignore[attr-defined]
opt_outs = OptOut.__table__  # type: ignore[attr-defined]
events = AuditEvent.__table__  # type: ignore[attr-defined]
A_MINUTE = timedelta(minutes=1)


@pytest.fixture
def link_to(
    db: Database, now: datetime, make_program: Callable[..., int], make_sender: Callable[..., int]
) -> Callable[[str], str]:
    """Puts a text with a link into the outbox; returns the link's token."""
    program = make_program()
    sender = make_sender(program)
    return lambda number: queue_link(db, now, program, sender, number)


@pytest.mark.parametrize("number", ["+4915123456789", "+12125550123", "+33612345678", "+819012345678"])
def test_the_scope_is_the_one_of_her_region(
    db: Database, now: datetime, link_to: Callable[[str], str], number: str
) -> None:
    recorded = db.writer.run(unsubscribe.tap, link_to(number), now)
    assert recorded is not None
    assert recorded.is_new
    assert recorded.suppressed == 1
    rules = regions.rules_at(phone.place_of(number), now)
    row = db.reading(lambda c: c.execute(sa.select(opt_outs)).one())
    assert (row.scope, row.pack_version) == (Scope(rules.default_scope), rules.pack_version)
    assert row.country == phone.place_of(number).country


@pytest.mark.parametrize("token", [links.ALPHABET[:10], "short", "", "x\0y", "z" * 500])
def test_an_unknown_link_opts_nobody_out_and_is_written_down(
    db: Database, now: datetime, link_to: Callable[[str], str], token: str
) -> None:
    link_to("+4915123456789")
    assert db.writer.run(unsubscribe.tap, token, now) is None
    assert db.writer.run(unsubscribe.undo, token, now) == []
    db.writer.run(unsubscribe.explain, token, Reason.OTHER, now)
    assert db.reading(lambda c: c.execute(sa.select(opt_outs)).all()) == []
    assert set(db.reading(lambda c: c.execute(sa.select(events.c.action)).scalars().all())) == {"link.unknown"}


@pytest.mark.parametrize(("later", "opened"), [(-A_MINUTE, 0), (timedelta(0), 0), (timedelta(seconds=1), 1)])
def test_p7_undo_opens_only_what_is_older(
    db: Database, now: datetime, link_to: Callable[[str], str], later: timedelta, opened: int
) -> None:
    token = link_to("+4915123456789")
    db.writer.run(unsubscribe.tap, token, now)
    assert len(db.writer.run(unsubscribe.undo, token, now + later)) == opened


def test_p5_a_link_opts_out_whom_it_was_sent_to(
    db: Database, now: datetime, link_to: Callable[[str], str]
) -> None:
    link_to("+4915123456780")
    db.writer.run(unsubscribe.tap, link_to("+4915123456789"), now)
    out = db.reading(lambda c: c.execute(sa.select(opt_outs.c.number)).scalars().all())
    assert out == ["+4915123456789"]


def test_a_reason_goes_to_the_newest_opt_out_that_stands(
    db: Database, now: datetime, link_to: Callable[[str], str]
) -> None:
    token, number = link_to("+4915123456789"), "+4915123456789"
    signal = Signal(at=now, source=Source.REPLY, cause="inbound:SM1", rule="keyword:stopall")
    db.writer.run(unsubscribe.tap, token, now - A_MINUTE)
    db.writer.run(optouts.record, number, Scope.ALL, signal)
    db.writer.run(unsubscribe.explain, token, Reason.TOO_MANY, now)
    rows = db.reading(lambda c: c.execute(sa.select(opt_outs.c.scope, opt_outs.c.reason)).all())
    assert {(row.scope, row.reason) for row in rows if row.reason} == {(Scope.ALL, "too_many")}
