"""Texts whose webhook never arrived: fetched from Twilio's own list and taken in like any other.

A text that we have already is stopped by its MessageSid. The time of the text, not of its recovery, decides:
an old START does not open what was closed after it (P7).
"""

from datetime import datetime, timedelta

import structlog

from gateway import inbound, phone
from gateway.carrier import Carrier, CarrierError, ListedMessage
from gateway.db import Database
from gateway.inbound import IncomingText
from gateway.settings import Settings

log = structlog.get_logger()

# Longer than any outage that would not be noticed, short enough to be one page of a busy list.
LOOK_BACK = timedelta(hours=24)


async def recover(db: Database, carrier: Carrier, settings: Settings, now: datetime) -> int:
    """Takes in what was missed in the last 24 h; returns how many texts were new."""
    try:
        listed = await carrier.list_received(now - LOOK_BACK, now)
    except CarrierError as error:
        log.warning("cannot look for missed texts", why=str(error))
        return 0
    known = await db.read(inbound.known_sids, [message.sid for message in listed])
    missing = sorted((m for m in listed if m.sid not in known), key=lambda message: message.created_at)
    outcomes = [await _take_in(db, settings, message, now) for message in missing]
    missed = sum(outcome is not inbound.Outcome.DUPLICATE for outcome in outcomes)
    if missed:
        log.info("missed texts recovered", count=missed)
    return missed


async def _take_in(
    db: Database, settings: Settings, message: ListedMessage, now: datetime
) -> inbound.Outcome:
    channel, number = phone.split_channel(message.sender)
    text = IncomingText(
        message_sid=message.sid,
        account_sid=settings.twilio_account_sid,
        number=number,
        to_address=phone.split_channel(message.to)[1],
        body=message.body,
        channel=channel,
        sent_at=message.created_at,
    )
    return await db.writer.submit(inbound.receive, text, settings.twilio_account_sid, now)
