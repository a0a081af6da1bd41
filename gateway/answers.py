"""Our automatic answers: whether it is on us to answer, in which language, and when a machine is there instead.

Exactly one answers an opt-out (P4): Twilio, the carrier, or we.
"""

from datetime import timedelta

from sqlalchemy import bindparam, select

from gateway import audit, outbox, phone, replies
from gateway.db import Transaction
from gateway.hearing import Heard
from gateway.models import Answers, Category, OutboundMessage

outbound = OutboundMessage.__table__  # type: ignore[attr-defined]

# Twilio's default keywords: these it answers itself where it answers at all.
# https://www.twilio.com/docs/messaging/tutorials/advanced-opt-out
TWILIO_ANSWERS = frozenset(
    [
        "STOP",
        "STOPALL",
        "UNSUBSCRIBE",
        "CANCEL",
        "END",
        "QUIT",
        "REVOKE",
        "OPTOUT",
        "START",
        "YES",
        "UNSTOP",
        "HELP",
        "INFO",
    ]
)
# US/CA toll-free numbers: the carrier network answers these and no others (regions.md 2.2).
CARRIER_ANSWERS = frozenset({"STOP", "UNSTOP", "START"})

# A machine that answers us is left alone after this many automatic texts in an hour.
REPLIES_AN_HOUR = 4
HOUR = timedelta(hours=1)
# 47 CFR 64.1200(a)(12) presumes five minutes to be in time; no rule we know asks for less.
CONFIRM_WITHIN = timedelta(minutes=5)


def reply(tx: Transaction, heard: Heard, kind: str, confirms_id: int | None = None) -> None:
    """Queues our answer, unless somebody else answers or a machine is at the other end."""
    silence = _why_silent(tx, heard)
    if silence is not None:
        keep_silent(tx, heard, kind, silence)
        return
    language = replies.language_for(heard.reading.language, heard.place, heard.rules, heard.sender.language)
    body = replies.render(
        kind,
        language,
        program=heard.sender.program,
        contact=heard.sender.contact,
        country=heard.place.country,
        scope=heard.reading.scope or heard.rules.default_scope,
    )
    within = timedelta(minutes=heard.rules.confirmation_within_minutes or 5)
    row = outbox.row(
        program_id=heard.sender.program_id,
        sender_id=heard.sender.id,
        number=heard.text.number,
        channel=heard.text.channel,
        body=body,
        category=Category.REPLY,
        kind=kind,
        now=heard.now,
        expires_at=heard.at + min(within, CONFIRM_WITHIN),
        confirms_id=confirms_id,
    )
    outbox.enqueue_reply(tx, row)


def _why_silent(tx: Transaction, heard: Heard) -> str | None:
    """Why we do not answer, or None when it is on us."""
    answerer = _answerer(heard)
    if answerer is not Answers.GATEWAY:
        return f"answered by {answerer.value}"
    if heard.sender is None or not heard.sender.can_receive:
        return "no sender to answer from"
    if phone.is_short_code(heard.text.number):
        return "short code"
    recent = tx.execute(RECENT, {"number": heard.text.number, "since": heard.now - HOUR}).all()
    if any(row.body.strip() == heard.text.body.strip() for row in recent):
        return "echo of our own text"
    if sum(row.category == Category.REPLY for row in recent) >= REPLIES_AN_HOUR:
        return "too many automatic texts in an hour"
    return None


def _answerer(heard: Heard) -> Answers:
    """Exactly one answers: Twilio or the carrier for the words they know, we for all others (P4)."""
    if heard.text.opt_out_type:
        return Answers.TWILIO
    if heard.sender is None:
        return Answers.GATEWAY
    word = heard.text.body.strip().upper()
    if heard.sender.answers == Answers.TWILIO and word in TWILIO_ANSWERS:
        return Answers.TWILIO
    if heard.sender.answers == Answers.CARRIER and word in CARRIER_ANSWERS:
        return Answers.CARRIER
    return Answers.GATEWAY


def keep_silent(tx: Transaction, heard: Heard, kind: str, why: str) -> None:
    """Writes down that no answer of this kind is sent, and why."""
    audit.append(tx, "reply.not_sent", **heard.about(), kind=kind, why=why)


RECENT = (
    select(outbound.c.body, outbound.c.category)
    .where(outbound.c.number == bindparam("number"), outbound.c.created_at > bindparam("since"))
    .order_by(outbound.c.created_at.desc())
    .limit(20)
)
