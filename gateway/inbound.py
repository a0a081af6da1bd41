"""A text comes in: understand it, act on it, answer it if we are the one who answers.

`receive` is one verb in one transaction: the message row, the decision, what follows, the audit event;
`receive_all` is the same for all texts of a commit. A second copy of the same MessageSid changes nothing: the
unique index has the last word.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from enum import StrEnum
from functools import cache, partial
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, select

import keywords
from gateway import answers, audit, optouts
from gateway.db import Transaction
from gateway.hearing import Heard, IncomingText, advertised, find_sender, hear, languages
from gateway.models import InboundMessage, Scope
from keywords import Intent

__all__ = ["Arrival", "IncomingText", "Outcome", "Receipt", "outcomes", "receive", "receive_all"]

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


class Receipt(NamedTuple):
    """What came of a text, now or, when it `is_new` no more, at its first arrival."""

    outcome: Outcome
    is_new: bool


class Arrival(NamedTuple):
    """An inbound text, our own account's SID, and the time of its arrival."""

    text: IncomingText
    account_sid: str
    now: datetime


def receive(tx: Transaction, text: IncomingText, account_sid: str, now: datetime) -> Outcome:
    """Takes one inbound text in. `account_sid` is ours; a text for another one is refused and recorded."""
    receipt = receive_all(tx, [Arrival(text, account_sid, now)])[0]
    return receipt.outcome if receipt.is_new else Outcome.DUPLICATE


def receive_all(tx: Transaction, arrivals: Sequence[Arrival]) -> list[Receipt]:
    """Takes texts in, in their order. One look for copies and one insert serve them all.

    A copy changes nothing and gets the outcome of the first, so that both are answered alike.

    A copy that another process takes in meanwhile shows at the commit: the unique index refuses the rows, and
    the writer runs each text again.
    """
    find = cache(partial(find_sender, tx))
    taken = outcomes(tx.connection, [one.text.message_sid for one in arrivals])
    return [_receive_once(tx, one, find, taken) for one in arrivals]


def outcomes(connection: Connection, sids: Sequence[str]) -> dict[str, Outcome]:
    """What came of those of the MessageSids that have been taken in already."""
    rows = connection.execute(KNOWN, {"sids": sids})
    return {row.message_sid: Outcome(row.outcome) for row in rows}


def _receive_once(
    tx: Transaction, arrival: Arrival, find: Callable[[str, str | None], Any], taken: dict[str, Outcome]
) -> Receipt:
    text = arrival.text
    if text.message_sid in taken:
        return Receipt(taken[text.message_sid], False)
    heard = hear(text, find(text.to_address, text.messaging_service_sid), arrival.now)
    outcome = _decide(tx, heard, arrival.account_sid)
    tx.later(inbound, _row(heard, outcome))
    taken[text.message_sid] = outcome
    return Receipt(outcome, True)


def _decide(tx: Transaction, heard: Heard, account_sid: str) -> Outcome:
    """What comes of the text, done. A number of ours that is not set up still honours an opt-out."""
    if account_sid and heard.text.account_sid != account_sid:
        _tell_refusal(tx, heard, Outcome.UNKNOWN_ACCOUNT)
        return Outcome.UNKNOWN_ACCOUNT
    outcome = _act(tx, heard)
    if heard.sender is None:
        _tell_refusal(tx, heard, Outcome.UNKNOWN_SENDER)
        return Outcome.UNKNOWN_SENDER
    return outcome


def _row(heard: Heard, outcome: Outcome) -> dict[str, Any]:
    text, reading = heard.text, heard.reading
    return {
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
    if heard.rules.confirmation == "forbidden":
        answers.keep_silent(tx, heard, "confirmation", "forbidden by the region's rules")
    else:
        offers = heard.sender is not None and heard.place.country in heard.sender.offer_countries.split(",")
        answers.reply(tx, heard, "confirmation_offer" if offers else "confirmation", confirms_id=recorded.id)
    return Outcome.OPTED_OUT


def _opt_in(tx: Transaction, heard: Heard) -> Outcome:
    """Opens only what is closed: a bare YES from somebody who is not out means something else."""
    if heard.sender is None:
        return Outcome.OPT_IN_IGNORED
    if not optouts.lift(tx, heard.text.number, heard.signal(), program_id=heard.sender.program_id):
        return Outcome.OPT_IN_IGNORED
    answers.reply(tx, heard, "welcome_back")
    return Outcome.OPTED_IN


def _tell(tx: Transaction, heard: Heard, outcome: Outcome) -> Outcome:
    audit.append(tx, f"inbound.{outcome.value}", **heard.about(), rule=heard.reading.rule)
    return outcome


def _tell_refusal(tx: Transaction, heard: Heard, outcome: Outcome) -> None:
    audit.append(tx, f"inbound.{outcome.value}", **heard.about(), to=heard.text.to_address)


KNOWN = select(inbound.c.message_sid, inbound.c.outcome).where(
    inbound.c.message_sid.in_(bindparam("sids", expanding=True))
)
