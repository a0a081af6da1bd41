"""What a tap on the link does: opt out, undo, tell why. The token is the only credential, and it is enough.

A link that was never given out gets the same steps and the same answer; the attempt is written down.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import bindparam, or_, select

from gateway import audit, links, optouts, phone, regions
from gateway.db import Transaction
from gateway.models import OptOut, OutboundMessage, Scope, Source
from gateway.optouts import Recorded, Signal

outbound = OutboundMessage.__table__  # type: ignore[attr-defined]
opt_outs = OptOut.__table__  # type: ignore[attr-defined]


class Reason(StrEnum):
    """Why she left, as the page asks."""

    TOO_MANY = "too_many"
    NOT_INTERESTED = "not_interested"
    NEVER_SIGNED_UP = "never_signed_up"
    NOT_ME = "not_me"
    OTHER = "other"


def tap(tx: Transaction, token: str, now: datetime) -> Recorded | None:
    """Opts out the person the link was sent to, as far as her region's rules say. None for an unknown link."""
    text = _text_with(tx, token, now)
    if text is None:
        return None
    place = phone.place_of(text.number)
    rules = regions.rules_at(place, now)
    signal = Signal(
        at=now,
        source=Source.LINK,
        cause=_cause(token),
        rule="link:tap",
        pack_version=rules.pack_version,
        country=place.country,
    )
    return optouts.record(tx, text.number, Scope(rules.default_scope), signal, program_id=text.program_id)


def undo(tx: Transaction, token: str, now: datetime) -> list[int]:
    """Opens what stops the link's program, if it is older than `now`. Returns the ids of the rows lifted."""
    text = _text_with(tx, token, now)
    if text is None:
        return []
    signal = Signal(at=now, source=Source.LINK, cause=_cause(token), rule="link:undo")
    return optouts.lift(tx, text.number, signal, program_id=text.program_id)


def explain(tx: Transaction, token: str, reason: Reason, now: datetime) -> None:
    """Keeps her reason with the opt-out that stands now; nothing when none does."""
    text = _text_with(tx, token, now)
    if text is None:
        return
    opt_out_id = tx.execute(STANDING, {"number": text.number, "program": text.program_id}).scalar()
    if opt_out_id is not None:
        optouts.give_reason(tx, opt_out_id, reason.value, number=text.number, at=now, cause=_cause(token))


def _text_with(tx: Transaction, token: str, now: datetime) -> Any:
    """The text that carried the link. The event for an unknown one makes both cost one durable commit."""
    found = tx.execute(CARRIED, {"token": token}).first() if links.is_token(token) else None
    if found is None:
        audit.append(tx, "link.unknown", at=now, actor="recipient", cause=_cause(token))
    return found


def _cause(token: str) -> str:
    """What was never a token is not copied into the log: it may be long, or hold what PostgreSQL refuses."""
    return f"link:{token}" if links.is_token(token) else "link:malformed"


CARRIED = select(outbound.c.number, outbound.c.program_id).where(outbound.c.link_token == bindparam("token"))
STANDING = (
    select(opt_outs.c.id)
    .where(
        opt_outs.c.number == bindparam("number"),
        opt_outs.c.lifted_at.is_(None),
        or_(opt_outs.c.scope != Scope.PROGRAM, opt_outs.c.program_id == bindparam("program")),
    )
    .order_by(opt_outs.c.since.desc())
    .limit(1)
)
