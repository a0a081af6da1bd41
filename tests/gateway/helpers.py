"""Looks into the database that several tests take."""

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from gateway import links
from gateway.db import Database, Transaction
from gateway.inbound import IncomingText, Outcome, receive
from gateway.models import AuditEvent, Category, InboundMessage, OptOut, OutboundMessage
from gateway.outbox import enqueue_screened, row

ACCOUNT = "AC" + "a" * 32
_numbers = itertools.count(1)


def rows(db: Database, model: type[Any], **where: Any) -> list[Any]:
    """All rows of a table, in the order of their ids, with these values."""
    table = model.__table__
    query = sa.select(table).where(*(table.c[name] == value for name, value in where.items()))
    return list(db.reading(lambda connection: connection.execute(query.order_by(table.c.id)).all()))


def actions(db: Database, number: str | None = None) -> list[str]:
    return [e.action for e in rows(db, AuditEvent) if number is None or e.number == number]


def texts(db: Database, **where: Any) -> list[Any]:
    return rows(db, OutboundMessage, **where)


def inbounds(db: Database, **where: Any) -> list[Any]:
    return rows(db, InboundMessage, **where)


def opt_outs(db: Database, **where: Any) -> list[Any]:
    return rows(db, OptOut, **where)


def sid() -> str:
    return f"SM{next(_numbers):032x}"


def incoming(number: str, body: str, to: str = "+4915735980000", **more: Any) -> IncomingText:
    values = {"message_sid": sid(), "account_sid": ACCOUNT, "number": number, "to_address": to, "body": body}
    return IncomingText(**(values | more))


def text_in(db: Database, number: str, body: str, now: datetime, **more: Any) -> Outcome:
    """A text from `number` goes through the whole inbound verb."""
    return db.writer.run(receive, incoming(number, body, **more), ACCOUNT, now)


def queue(db: Database, now: datetime, *, program_id: int, sender_id: int, number: str, **more: Any) -> int:
    """A campaign text waits in the outbox, unscreened; returns its id."""
    given = {"body": "Hello", "category": Category.MARKETING, "kind": "campaign"} | more
    values = row(program_id=program_id, sender_id=sender_id, number=number, now=now, **given)
    db.writer.run(enqueue_screened, [values])
    return int(texts(db)[-1].id)


def queue_link(db: Database, now: datetime, program_id: int, sender_id: int, number: str) -> str:
    """A campaign text with a link waits in the outbox; returns the link's token."""
    token = links.new_token()
    queue(db, now, program_id=program_id, sender_id=sender_id, number=number, link_token=token)
    return token


@contextmanager
def held_up(db: Database) -> Iterator[None]:
    """Every writer lane is busy while the block runs: each holder runs before the next one comes."""
    go, holders = threading.Event(), []

    def hold(tx: Transaction, running: threading.Event) -> None:
        running.set()
        go.wait(30)

    for _ in range(db.settings.lanes):
        running = threading.Event()
        holders.append(threading.Thread(target=db.writer.run, args=(hold, running)))
        holders[-1].start()
        assert running.wait(10)
    try:
        yield
    finally:
        go.set()
        for holder in holders:
            holder.join(10)
