"""Filling a draft from a recipients file, a thousand rows a change."""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, select

from gateway import contacts
from gateway.campaigns.common import ONE, found
from gateway.campaigns.drafts import MOST_AT_ONCE, add_recipients
from gateway.contacts import Line
from gateway.db import Database
from gateway.models import Program

programs = Program.__table__  # type: ignore[attr-defined]


class Filled(NamedTuple):
    """What came of some rows of the file."""

    added: int
    duplicates: int
    errors: list[Line]


def fill(db: Database, campaign_id: int, lines: Iterator[Line], now: datetime) -> Iterator[Filled]:
    """Adds the lines' numbers to a draft, one `Filled` a batch. Raises NotFound or Conflict.

    Call from a thread. What has been added stays when a later batch fails; adding again does no harm.
    """
    for batch in contacts.batches(lines, MOST_AT_ONCE):
        result = db.writer.run(add_recipients, campaign_id, batch.numbers, now)
        yield Filled(result.added, result.duplicates, batch.errors)


def country_of(connection: Connection, campaign_id: int) -> str:
    """The country that national numbers in the campaign's lists belong to. Raises NotFound."""
    campaign = found(connection.execute(ONE, {"campaign": campaign_id}).first())
    country: str = connection.execute(
        select(programs.c.default_country).where(programs.c.id == campaign.program_id)
    ).scalar_one()
    return country
