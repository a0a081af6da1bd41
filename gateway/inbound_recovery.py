"""Texts whose webhook never arrived: fetched from Twilio's own list and taken in like any other.

A text that we have already is stopped by its MessageSid. The time of the text, not of its recovery, decides:
an old START does not open what was closed after it (P7). A STOP found late counts whatever came after it: she
can start again, but nobody can take back a text sent to somebody who had left.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import structlog

from gateway import hearing, inbound, programs
from gateway.carrier import Carrier, CarrierError, ListedMessage
from gateway.db import Database
from gateway.inbound import Outcome
from gateway.settings import Settings

log = structlog.get_logger()

# Longer than any outage that would not be noticed, short enough to be a page or two of a busy list.
LOOK_BACK = timedelta(hours=24)
# PostgreSQL takes 65,535 parameters a statement.
SIDS_AT_ONCE = 1000


async def recover(db: Database, carrier: Carrier, settings: Settings, now: datetime) -> int:
    """Takes in what our senders were sent in the last 24 h and we missed; returns how many texts were new."""
    missed = 0
    for sender in await db.read(programs.senders):
        if sender.can_receive:
            missed += await _recover_one(db, carrier, settings, sender.address, now)
    if missed:
        log.info("missed texts recovered", count=missed)
    return missed


async def _recover_one(db: Database, carrier: Carrier, settings: Settings, to: str, now: datetime) -> int:
    try:
        listed = await carrier.list_received(now - LOOK_BACK, now, to=to)
    except CarrierError as error:
        log.warning("cannot look for missed texts", why=str(error))
        return 0
    missed = 0
    for some in _pieces(sorted(listed, key=lambda message: message.created_at)):
        known = await db.read(inbound.outcomes, [message.sid for message in some])
        for message in some:
            if message.sid not in known:
                missed += await _take_in(db, settings, message, now)
    return missed


async def _take_in(db: Database, settings: Settings, message: ListedMessage, now: datetime) -> bool:
    text = hearing.incoming(
        sid=message.sid,
        account_sid=settings.twilio_account_sid,
        sender=message.sender,
        to=message.to,
        body=message.body,
        sent_at=message.created_at,
    )
    if text is None:
        log.warning("a listed text is malformed", sid=message.sid)
        return False
    outcome = await db.writer.submit(inbound.receive, text, settings.twilio_account_sid, now)
    return outcome is not Outcome.DUPLICATE


def _pieces(messages: Sequence[ListedMessage]) -> Iterator[Sequence[ListedMessage]]:
    for at in range(0, len(messages), SIDS_AT_ONCE):
        yield messages[at : at + SIDS_AT_ONCE]
