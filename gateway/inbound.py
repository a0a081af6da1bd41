"""A text comes in: understand it, act on it, answer it if we are the one who answers.

`receive` is one verb in one transaction: the message row, the decision, what follows, the audit event.
A second copy of the same MessageSid stops at the unique index and changes nothing.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, bindparam, select

import keywords
from gateway import answers, audit, optouts
from gateway.db import Transaction, insert_new
from gateway.hearing import Heard, IncomingText, advertised, hear, languages
from gateway.models import InboundMessage, Scope
from keywords import Intent

__all__ = ["IncomingText", "Outcome", "known_sids", "receive"]

inbound = InboundMessage.__table__  # type: ignore[attr-defined]


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


def receive(tx: Transaction, text: IncomingText, account_sid: str, now: datetime) -> Outcome:
    """Takes one inbound text in. `account_sid` is ours; a text for another one is refused and recorded."""
    heard = hear(tx, text, now)
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
    return set(
        connection.execute(select(inbound.c.message_sid).where(inbound.c.message_sid.in_(sids))).scalars()
    )


def _provisional(heard: Heard, account_sid: str) -> Outcome:
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


def _store(tx: Transaction, heard: Heard, outcome: Outcome) -> int | None:
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
        "languages": ",".join(languages(heard.sender)),
        "advertised": ",".join(advertised(heard.sender)),
        "vocabulary_version": keywords.vocabulary_version,
        "pack_version": heard.rules.pack_version,
        "outcome": outcome.value,
    }
    inserted: int | None = tx.execute(insert_new(inbound, tx.is_sqlite), row).scalar()
    return inserted


def _act(tx: Transaction, heard: Heard) -> Outcome:
    match heard.reading.intent:
        case Intent.OPT_OUT | Intent.OPT_OUT_ALL:
            return _opt_out(tx, heard)
        case Intent.OPT_IN:
            return _opt_in(tx, heard)
        case Intent.HELP:
            answers.reply(tx, heard, "help")
            return _tell(tx, heard, Outcome.HELPED)
        case Intent.COMPLAINT:
            return _tell(tx, heard, Outcome.COMPLAINT)
    return _tell(tx, heard, Outcome.NOTHING)


def _opt_out(tx: Transaction, heard: Heard) -> Outcome:
    scope = Scope(heard.reading.scope or heard.rules.default_scope)
    recorded = optouts.record(
        tx,
        heard.text.number,
        scope,
        heard.signal(),
        program_id=heard.sender.program_id if heard.sender else None,
    )
    if not recorded.is_new:
        return Outcome.ALREADY_OUT
    if heard.rules.confirmation != "forbidden":
        offers = heard.sender is not None and heard.place.country in heard.sender.offer_countries.split(",")
        answers.reply(tx, heard, "confirmation_offer" if offers else "confirmation", confirms_id=recorded.id)
    return Outcome.OPTED_OUT


def _opt_in(tx: Transaction, heard: Heard) -> Outcome:
    """Opens only what is closed: a bare YES from somebody who is not out means something else."""
    program_id = heard.sender.program_id if heard.sender else None
    if not optouts.lift(tx, heard.text.number, heard.signal(), program_id=program_id):
        return Outcome.OPT_IN_IGNORED
    answers.reply(tx, heard, "welcome_back")
    return Outcome.OPTED_IN


def _tell(tx: Transaction, heard: Heard, outcome: Outcome) -> Outcome:
    audit.append(tx, f"inbound.{outcome.value}", **heard.about(), rule=heard.reading.rule)
    return outcome


def _tell_refusal(tx: Transaction, heard: Heard, outcome: Outcome) -> None:
    audit.append(tx, f"inbound.{outcome.value}", **heard.about(), to=heard.text.to_address)


SET_OUTCOME = (
    inbound.update().where(inbound.c.id == bindparam("inbound_id")).values(outcome=bindparam("decided"))
)
