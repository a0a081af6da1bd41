"""An inbound text with all that the decision on it rests on: the sender, the place, the law, the meaning."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, or_, select

import keywords
from gateway import phone, regions
from gateway.db import Transaction
from gateway.models import Program, Sender, Source
from gateway.optouts import Signal
from gateway.regions import Rules
from keywords import Certainty, Intent, Reading

senders = Sender.__table__  # type: ignore[attr-defined]
programs = Program.__table__  # type: ignore[attr-defined]

SID = re.compile(r"(SM|MM)[0-9a-fA-F]{32}")
OPT_OUT_TYPES = {"STOP": Intent.OPT_OUT, "START": Intent.OPT_IN, "HELP": Intent.HELP}


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


def incoming(
    *,
    sid: str,
    account_sid: str,
    sender: str,
    to: str,
    body: str,
    media: int = 0,
    messaging_service_sid: str = "",
    opt_out_type: str = "",
    sent_at: datetime | None = None,
) -> IncomingText | None:
    """A text from the fields of Twilio's webhook or list; None when they cannot be a text's."""
    channel, number = phone.split_channel(sender)
    address = phone.split_channel(to)[1]
    if not SID.fullmatch(sid) or not 0 < len(number) <= 20 or not 0 < len(address) <= 64:
        return None
    return IncomingText(
        message_sid=sid,
        account_sid=account_sid[:64],
        number=phone.same_person(number),
        to_address=address,
        # PostgreSQL stores no NUL, and no phone can type one.
        body=body.replace("\0", ""),
        channel=channel[:16],
        media=media,
        messaging_service_sid=messaging_service_sid[:34] or None,
        opt_out_type=opt_out_type[:16].upper() or None,
        sent_at=sent_at,
    )


@dataclass(frozen=True, slots=True)
class Heard:
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

    def about(self) -> dict[str, Any]:
        """The keys that every audit event of this text has."""
        return {
            "at": self.now,
            "actor": "recipient",
            "number": self.text.number,
            "program_id": self.sender.program_id if self.sender else None,
            "cause": self.cause,
        }


def find_sender(tx: Transaction, address: str, messaging_service_sid: str | None) -> Any:
    """The sender that a text was sent to, with its program; None when there is no such sender here."""
    return tx.execute(SENDER, {"address": address, "service": messaging_service_sid or "-"}).first()


def hear(text: IncomingText, sender: Any, now: datetime) -> Heard:
    place = phone.place_of(text.number)
    rules = regions.rules_at(place, now)
    reading = decide(
        text.body,
        text.opt_out_type,
        country=place.country,
        languages=languages(sender),
        advertised=advertised(sender),
    )
    return Heard(text, min(text.sent_at or now, now), now, sender, place, rules, reading)


def decide(
    body: str,
    opt_out_type: str | None,
    *,
    country: str,
    languages: tuple[str, ...],
    advertised: tuple[str, ...],
) -> Reading:
    """What a text means: Twilio's own verdict where it gave one, else ours. Pure, so it can be replayed."""
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


def languages(sender: Any) -> tuple[str, ...]:
    return (sender.language,) if sender else ()


def advertised(sender: Any) -> tuple[str, ...]:
    return tuple(word.strip() for word in sender.advertised.split(",") if word.strip()) if sender else ()


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
