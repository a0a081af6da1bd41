"""A text comes in: understand it, act on it, answer it if we are the one who answers.

`receive` is one verb in one transaction: the message row, the decision, what follows from it, the audit event.
A second copy of the same MessageSid stops at the unique index and changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, bindparam, or_, select

import keywords
from gateway import audit, optouts, outbox, phone, regions, replies
from gateway.db import Transaction, insert_new
from gateway.models import Answers, Category, InboundMessage, OutboundMessage, Program, Scope, Sender, Source
from gateway.optouts import Signal
from gateway.regions import Rules
from keywords import Certainty, Intent, Reading

inbound = InboundMessage.__table__  # type: ignore[attr-defined]
outbound = OutboundMessage.__table__  # type: ignore[attr-defined]
senders = Sender.__table__  # type: ignore[attr-defined]
programs = Program.__table__  # type: ignore[attr-defined]

# Twilio's default keywords: these it answers itself where it answers at all.
# https://www.twilio.com/docs/messaging/tutorials/advanced-opt-out
TWILIO_ANSWERS = frozenset(
    "STOP STOPALL UNSUBSCRIBE CANCEL END QUIT REVOKE OPTOUT START YES UNSTOP HELP INFO".split()
)
# US/CA toll-free numbers: the carrier network answers these and no others (regions.md 2.2).
CARRIER_ANSWERS = frozenset({"STOP", "UNSTOP", "START"})
OPT_OUT_TYPES = {"STOP": Intent.OPT_OUT, "START": Intent.OPT_IN, "HELP": Intent.HELP}

# A machine that answers us is left alone after this many automatic texts in an hour.
REPLIES_AN_HOUR = 4
HOUR = timedelta(hours=1)
# 47 CFR 64.1200(a)(12) presumes five minutes to be in time; no rule we know asks for less.
CONFIRM_WITHIN = timedelta(minutes=5)


class Outcome(StrEnum):
    """What came of an inbound text."""

    OPTED_OUT = "opted_out"
    ALREADY_OUT = "already_out"
    OPTED_IN = "opted_in"
    OPT_IN_IGNORED = "opt_in_ignored"
    HELPED = "helped"
    COMPLAINT = "complaint"
    NOTHING = "nothing"
    DUPLICATE = "duplicate"
    UNKNOWN_ACCOUNT = "unknown_account"
    UNKNOWN_SENDER = "unknown_sender"


@dataclass(frozen=True, slots=True)
class IncomingText:
    """An inbound message as Twilio tells it. `sent_at` is set only when it was fetched later."""

    message_sid: str
    account_sid: str
    number: str
    to_address: str
    body: str
    channel: str = "sms"
    media: int = 0
    messaging_service_sid: str | None = None
    opt_out_type: str | None = None
    sent_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Heard:
    """A text with all that the decision rests on."""

    text: IncomingText
    at: datetime
    now: datetime
    sender: Any
    place: phone.Place
    rules: Rules
    reading: Reading

    @property
    def cause(self) -> str:
        return f"inbound:{self.text.message_sid}"

    def signal(self) -> Signal:
        return Signal(
            at=self.at,
            source=Source.REPLY,
            cause=self.cause,
            rule=self.reading.rule,
            vocabulary_version=keywords.vocabulary_version,
            pack_version=self.rules.pack_version,
            country=self.place.country,
        )


def receive(tx: Transaction, text: IncomingText, account_sid: str, now: datetime) -> Outcome:
    """Takes one inbound text in. `account_sid` is ours; a text for another account is refused and recorded."""
    heard = _hear(tx, text, now)
    outcome = _provisional(heard, account_sid)
    inbound_id = _store(tx, heard, outcome)
    if inbound_id is None:
        return Outcome.DUPLICATE
    if outcome is Outcome.UNKNOWN_ACCOUNT:
        _tell_refusal(tx, heard, outcome)
        return outcome
    decided = _act(tx, heard)
    if outcome is Outcome.UNKNOWN_SENDER:
        _tell_refusal(tx, heard, outcome)
        decided = outcome
    if decided is not outcome:
        tx.execute(SET_OUTCOME, {"inbound_id": inbound_id, "decided": decided.value})
    return decided


def known_sids(connection: Connection, sids: Sequence[str]) -> set[str]:
    """Those of the MessageSids that have been taken in already."""
    return set(connection.execute(select(inbound.c.message_sid).where(inbound.c.message_sid.in_(sids))).scalars())


def decide(
    body: str, opt_out_type: str | None, *, country: str, languages: tuple[str, ...], advertised: tuple[str, ...]
) -> Reading:
    """What a text means: Twilio's own verdict where it gave one, else ours. Pure, so that it can be replayed."""
    intent = OPT_OUT_TYPES.get(opt_out_type or "")
    reading = keywords.classify(body, country=country, languages=languages, advertised=advertised)
    if intent is None or (intent is Intent.OPT_OUT and reading.intent is Intent.OPT_OUT_ALL):
        return reading
    return Reading(
        intent=intent,
        certainty=Certainty.CERTAIN,
        scope=reading.scope if reading.intent is intent else None,
        language=reading.language,
        rule=f"twilio:{opt_out_type}",
        span=reading.span,
        normalised=reading.normalised,
    )


def _hear(tx: Transaction, text: IncomingText, now: datetime) -> _Heard:
    sender = tx.execute(
        SENDER, {"address": text.to_address, "service": text.messaging_service_sid or "-"}
    ).first()
    place = phone.place_of(text.number)
    rules = regions.rules_at(place, now)
    reading = decide(
        text.body,
        text.opt_out_type,
        country=place.country,
        languages=_languages(sender),
        advertised=_advertised(sender),
    )
    return _Heard(text, min(text.sent_at or now, now), now, sender, place, rules, reading)


def _languages(sender: Any) -> tuple[str, ...]:
    return (sender.language,) if sender else ()


def _advertised(sender: Any) -> tuple[str, ...]:
    return tuple(word.strip() for word in sender.advertised.split(",") if word.strip()) if sender else ()


def _provisional(heard: _Heard, account_sid: str) -> Outcome:
    """The outcome as far as it is known before anything is done; most texts need no second write."""
    if account_sid and heard.text.account_sid != account_sid:
        return Outcome.UNKNOWN_ACCOUNT
    if heard.sender is None:
        return Outcome.UNKNOWN_SENDER
    return {
        Intent.OPT_OUT: Outcome.OPTED_OUT,
        Intent.OPT_OUT_ALL: Outcome.OPTED_OUT,
        Intent.OPT_IN: Outcome.OPTED_IN,
        Intent.HELP: Outcome.HELPED,
        Intent.COMPLAINT: Outcome.COMPLAINT,
    }.get(heard.reading.intent, Outcome.NOTHING)


def _store(tx: Transaction, heard: _Heard, outcome: Outcome) -> int | None:
    """The message row, or None when this MessageSid is there already."""
    text, reading = heard.text, heard.reading
    row = {
        "message_sid": text.message_sid,
        "account_sid": text.account_sid,
        "channel": text.channel,
        "number": text.number,
        "to_address": text.to_address,
        "sender_id": heard.sender.id if heard.sender else None,
        "program_id": heard.sender.program_id if heard.sender else None,
        "body": text.body,
        "media": text.media,
        "opt_out_type": text.opt_out_type,
        "received_at": heard.now,
        "country": heard.place.country,
        "intent": reading.intent.value,
        "certainty": reading.certainty.value,
        "rule": reading.rule,
        "language": reading.language,
        "languages": ",".join(_languages(heard.sender)),
        "advertised": ",".join(_advertised(heard.sender)),
        "vocabulary_version": keywords.vocabulary_version,
        "pack_version": heard.rules.pack_version,
        "outcome": outcome.value,
    }
    inserted: int | None = tx.execute(insert_new(inbound, tx.is_sqlite), row).scalar()
    return inserted


def _act(tx: Transaction, heard: _Heard) -> Outcome:
    match heard.reading.intent:
        case Intent.OPT_OUT | Intent.OPT_OUT_ALL:
            return _opt_out(tx, heard)
        case Intent.OPT_IN:
            return _opt_in(tx, heard)
        case Intent.HELP:
            _reply(tx, heard, "help")
            return _tell(tx, heard, Outcome.HELPED)
        case Intent.COMPLAINT:
            return _tell(tx, heard, Outcome.COMPLAINT)
    return _tell(tx, heard, Outcome.NOTHING)


def _opt_out(tx: Transaction, heard: _Heard) -> Outcome:
    scope = Scope(heard.reading.scope or heard.rules.default_scope)
    recorded = optouts.record(
        tx, heard.text.number, scope, heard.signal(), program_id=heard.sender.program_id if heard.sender else None
    )
    if not recorded.is_new:
        return Outcome.ALREADY_OUT
    if heard.rules.confirmation != "forbidden":
        offers = heard.sender is not None and heard.place.country in heard.sender.offer_countries.split(",")
        _reply(tx, heard, "confirmation_offer" if offers else "confirmation", confirms_id=recorded.id)
    return Outcome.OPTED_OUT


def _opt_in(tx: Transaction, heard: _Heard) -> Outcome:
    """Opens only what is closed: a bare YES from somebody who is not out means something else."""
    program_id = heard.sender.program_id if heard.sender else None
    if not optouts.lift(tx, heard.text.number, heard.signal(), program_id=program_id):
        return Outcome.OPT_IN_IGNORED
    _reply(tx, heard, "welcome_back")
    return Outcome.OPTED_IN


def _reply(tx: Transaction, heard: _Heard, kind: str, confirms_id: int | None = None) -> None:
    """Queues our answer, unless somebody else answers or a machine is at the other end."""
    silence = _why_silent(tx, heard)
    if silence is not None:
        _tell_silence(tx, heard, kind, silence)
        return
    language = replies.language_for(
        heard.reading.language, heard.place, heard.rules, heard.sender.language
    )
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


def _why_silent(tx: Transaction, heard: _Heard) -> str | None:
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


def _answerer(heard: _Heard) -> Answers:
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


def _tell(tx: Transaction, heard: _Heard, outcome: Outcome) -> Outcome:
    audit.append(tx, f"inbound.{outcome.value}", **_about(heard), rule=heard.reading.rule)
    return outcome


def _tell_silence(tx: Transaction, heard: _Heard, kind: str, why: str) -> None:
    audit.append(tx, "reply.not_sent", **_about(heard), kind=kind, why=why)


def _tell_refusal(tx: Transaction, heard: _Heard, outcome: Outcome) -> None:
    audit.append(tx, f"inbound.{outcome.value}", **_about(heard), to=heard.text.to_address)


def _about(heard: _Heard) -> dict[str, Any]:
    return {
        "at": heard.now,
        "actor": "recipient",
        "number": heard.text.number,
        "program_id": heard.sender.program_id if heard.sender else None,
        "cause": heard.cause,
    }


SENDER = (
    select(
        senders.c.id,
        senders.c.program_id,
        senders.c.answers,
        senders.c.can_receive,
        programs.c.name.label("program"),
        programs.c.contact,
        programs.c.language,
        programs.c.advertised,
        programs.c.offer_countries,
    )
    .join(programs, programs.c.id == senders.c.program_id)
    .where(
        or_(
            senders.c.address == bindparam("address"),
            senders.c.messaging_service_sid == bindparam("service"),
        )
    )
    # The very number first: a messaging service may hold several.
    .order_by((senders.c.address == bindparam("address")).desc())
    .limit(1)
)
SET_OUTCOME = (
    inbound.update().where(inbound.c.id == bindparam("inbound_id")).values(outcome=bindparam("decided"))
)
RECENT = (
    select(outbound.c.body, outbound.c.category)
    .where(outbound.c.number == bindparam("number"), outbound.c.created_at > bindparam("since"))
    .order_by(outbound.c.created_at.desc())
    .limit(20)
)
