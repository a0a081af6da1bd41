"""The outbox: every text leaves through here, and the fence stands in `claim`.

A text is a row before it is anything else. `claim` hands out due rows as permits to send; whatever an open
opt-out stops becomes `suppressed` instead. Nobody else may turn a row into `sending`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, case, exists, literal_column, select, update

from gateway import audit, optouts, segments
from gateway.db import Transaction
from gateway.models import Campaign, CampaignState, Category, OutboundMessage, Sender, State

outbound = OutboundMessage.__table__  # type: ignore[attr-defined]
senders = Sender.__table__  # type: ignore[attr-defined]
campaigns = Campaign.__table__  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Permit:
    """A text that may be sent now, by its claimer, once."""

    id: int
    program_id: int
    number: str
    channel: str
    body: str
    segments: int
    sender: str
    messaging_service_sid: str | None
    claimed_at: datetime
    expires_at: datetime | None


def row(
    *,
    program_id: int,
    sender_id: int,
    number: str,
    body: str,
    category: Category,
    kind: str,
    now: datetime,
    channel: str = "sms",
    send_after: datetime | None = None,
    expires_at: datetime | None = None,
    campaign_id: int | None = None,
    link_token: str | None = None,
    confirms_id: int | None = None,
) -> dict[str, Any]:
    """A row for `outbound_messages`, queued; every key is always there so that rows insert in bulk."""
    return {
        "program_id": program_id,
        "sender_id": sender_id,
        "campaign_id": campaign_id,
        "number": number,
        "channel": channel,
        "category": category,
        "kind": kind,
        "body": body,
        "segments": segments.count(body).segments,
        "link_token": link_token,
        "confirms_id": confirms_id,
        "state": State.QUEUED,
        "send_after": send_after or now,
        "expires_at": expires_at,
        "created_at": now,
        "attempts": 0,
    }


def enqueue_reply(tx: Transaction, reply: dict[str, Any]) -> None:
    """Queues one automatic answer; replies are never stopped by an opt-out.

    At once and not with the commit: the loop breaker counts replies of the same commit too.
    """
    tx.execute(outbound.insert(), reply)


def enqueue_screened(tx: Transaction, rows: Sequence[dict[str, Any]]) -> None:
    """Queues campaign texts. The caller has screened them in this transaction after `take_turn_alone`."""
    if rows:
        tx.execute(outbound.insert(), rows)


def claim(tx: Transaction, *, sender_id: int | None, owner: str, now: datetime, limit: int) -> list[Permit]:
    """Permits for due texts of one sender, or with `sender_id=None` for due replies of all.

    The rows are locked, so a STOP that is being recorded either suppresses them first or waits and counts
    them as residue.
    """
    due = DUE_REPLIES if sender_id is None else DUE
    values = {"now": now, "most": limit} | ({} if sender_id is None else {"sender": sender_id})
    rows = tx.execute(due, values).all()
    stopped = [row.id for row in rows if row.stopped]
    permitted = [row for row in rows if not row.stopped]
    if stopped:
        _suppress(tx, stopped, now)
    if permitted:
        tx.execute(HAND_OUT, {"ids": [row.id for row in permitted], "now": now, "owner": owner})
    return [_permit(row, now) for row in permitted]


def _permit(row: Any, now: datetime) -> Permit:
    return Permit(
        id=row.id,
        program_id=row.program_id,
        number=row.number,
        channel=row.channel,
        body=row.body,
        segments=row.segments,
        sender=row.address,
        messaging_service_sid=row.messaging_service_sid,
        claimed_at=now,
        expires_at=row.expires_at,
    )


def replies_waiting(connection: Connection, now: datetime) -> tuple[bool, bool]:
    """Whether any automatic reply is due, and whether any has expired; reads only."""
    rows = connection.execute(WAITING, {"now": now}).scalars().all()
    expired = [expires_at is not None and expires_at <= now for expires_at in rows]
    return not all(expired), any(expired)


def drop_expired(tx: Transaction, now: datetime) -> int:
    """Replies that could not leave in time are dropped, never sent late (47 CFR 64.1200(a)(12): 5 minutes)."""
    dropped = tx.execute(DROP_EXPIRED, {"now": now}).all()
    for text in dropped:
        audit.append(
            tx,
            "reply.dropped",
            at=now,
            actor="gateway",
            number=text.number,
            program_id=text.program_id,
            cause=f"message:{text.id}",
            kind=text.kind,
            why="not sent in time",
        )
    return len(dropped)


def requeue(
    tx: Transaction, message_id: int, claimed_at: datetime, *, now: datetime, not_before: datetime, why: str
) -> bool:
    """Back into the queue what surely was not sent, or where it belongs if she or its campaign ended.

    Does nothing (False) when the row has moved on since it was claimed at `claimed_at`.
    """
    optouts.take_turn_alone(tx)
    values = {"message_id": message_id, "was_claimed_at": claimed_at, "not_before": not_before}
    found = tx.execute(REQUEUE, values).first()
    if found is None:
        return False
    audit.append(
        tx,
        "message.requeued" if found.state == State.QUEUED else f"message.{found.state.value}",
        at=now,
        actor="gateway",
        number=found.number,
        program_id=found.program_id,
        cause=f"message:{message_id}",
        why=why,
        attempts=found.attempts,
        not_before=not_before.isoformat(),
    )
    return True


def _suppress(tx: Transaction, ids: Sequence[int], now: datetime) -> None:
    """Rows that were queued without being screened, for instance restored from a backup."""
    for text in tx.execute(SUPPRESS, {"ids": ids, "now": now}).all():
        audit.append(
            tx,
            "message.suppressed",
            at=now,
            actor="gateway",
            number=text.number,
            program_id=text.program_id,
            cause=f"message:{text.id}",
            why="opted out",
        )


def _stopped() -> ColumnElement[bool]:
    return optouts.stops(outbound.c.number, outbound.c.category, outbound.c.program_id)


def _cancelled() -> ColumnElement[bool]:
    """SQL: the text's campaign was cancelled while the text was on its way."""
    return exists().where(campaigns.c.id == outbound.c.campaign_id, campaigns.c.state == CampaignState.CANCELLED)


PERMIT_COLUMNS = [
    outbound.c[name] for name in ("id", "program_id", "number", "channel", "body", "segments", "expires_at")
]

_due = (
    select(*PERMIT_COLUMNS, senders.c.address, senders.c.messaging_service_sid, _stopped().label("stopped"))
    .join(senders, senders.c.id == outbound.c.sender_id)
    # Spelt as text: the partial indexes are used only where the planner sees these very constants.
    .where(literal_column("outbound_messages.state = 'queued'"), outbound.c.send_after <= bindparam("now"))
    .order_by(outbound.c.send_after, outbound.c.id)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True, of=outbound)
)
WAITING = (
    select(outbound.c.expires_at)
    .where(
        literal_column("outbound_messages.state = 'queued'"),
        literal_column("outbound_messages.category = 'reply'"),
        outbound.c.send_after <= bindparam("now"),
    )
    .order_by(outbound.c.send_after)
    .limit(100)
)
DUE = _due.where(
    literal_column("outbound_messages.category <> 'reply'"), outbound.c.sender_id == bindparam("sender")
)
DUE_REPLIES = _due.where(
    literal_column("outbound_messages.category = 'reply'"),
    outbound.c.expires_at.is_(None) | (outbound.c.expires_at > bindparam("now")),
)
HAND_OUT = (
    update(outbound)
    .where(outbound.c.id.in_(bindparam("ids", expanding=True)))
    .values(
        state=State.SENDING,
        claimed_at=bindparam("now"),
        claimed_by=bindparam("owner"),
        attempts=outbound.c.attempts + 1,
    )
)
SUPPRESS = (
    update(outbound)
    .where(outbound.c.id.in_(bindparam("ids", expanding=True)))
    .values(state=State.SUPPRESSED, settled_at=bindparam("now"))
    .returning(outbound.c.id, outbound.c.number, outbound.c.program_id)
)
DROP_EXPIRED = (
    update(outbound)
    .where(
        literal_column("outbound_messages.state = 'queued'"),
        literal_column("outbound_messages.category = 'reply'"),
        outbound.c.expires_at <= bindparam("now"),
    )
    .values(state=State.CANCELLED, settled_at=bindparam("now"))
    .returning(outbound.c.id, outbound.c.number, outbound.c.program_id, outbound.c.kind)
)
REQUEUE = (
    update(outbound)
    .where(
        outbound.c.id == bindparam("message_id"),
        outbound.c.state.in_([State.SENDING, State.UNKNOWN]),
        outbound.c.claimed_at == bindparam("was_claimed_at"),
    )
    .values(
        state=case((_stopped(), State.SUPPRESSED), (_cancelled(), State.CANCELLED), else_=State.QUEUED),
        send_after=bindparam("not_before"),
    )
    .returning(outbound.c.number, outbound.c.program_id, outbound.c.state, outbound.c.attempts)
)
