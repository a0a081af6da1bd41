"""What became of a text: settling answers, status callbacks, and texts in doubt.

States are ranked and never go back, because callbacks come in any order, twice, or before our own commit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, case, literal_column, or_, select, update

from gateway import audit, optouts, phone, regions
from gateway.carrier import OPTED_OUT_CODE
from gateway.db import Transaction
from gateway.models import OutboundMessage, Scope, Source, State, Worker
from gateway.optouts import Signal
from gateway.outbox import Permit
from gateway.settings import Settings

outbound = OutboundMessage.__table__  # type: ignore[attr-defined]
workers = Worker.__table__  # type: ignore[attr-defined]

RANK = {
    State.QUEUED: 0,
    State.HELD: 0,
    State.SENDING: 1,
    State.UNKNOWN: 2,
    State.SENT: 3,
    State.DELIVERED: 4,
    State.UNDELIVERED: 4,
    State.FAILED: 4,
    State.SUPPRESSED: 4,
    State.CANCELLED: 4,
}
# https://www.twilio.com/docs/messaging/api/message-resource#message-status-values
TWILIO_STATES = {
    "accepted": State.SENT,
    "scheduled": State.SENT,
    "queued": State.SENT,
    "sending": State.SENT,
    "sent": State.SENT,
    "delivered": State.DELIVERED,
    "read": State.DELIVERED,
    "undelivered": State.UNDELIVERED,
    "failed": State.FAILED,
    "canceled": State.CANCELLED,
}
FINAL = frozenset(state for state, rank in RANK.items() if rank == 4)


@dataclass(frozen=True, slots=True)
class Settled:
    """The outcome of one hand-over: the state reached, with the carrier's SID or error code."""

    permit: Permit
    state: State
    sid: str | None = None
    error_code: int | None = None


def settle(tx: Transaction, outcomes: Sequence[Settled], now: datetime) -> None:
    """Writes down what the carrier answered. 21610 is an opt-out."""
    for state in {outcome.state for outcome in outcomes}:
        _settle_all(tx, state, [outcome for outcome in outcomes if outcome.state is state], now)
    for outcome in outcomes:
        if outcome.error_code == OPTED_OUT_CODE:
            _opted_out_at_carrier(tx, outcome.permit.id, outcome.permit.number, outcome.permit.program_id, now)


def _settle_all(tx: Transaction, state: State, outcomes: Sequence[Settled], now: datetime) -> None:
    values = [{"message_id": o.permit.id, "new_sid": o.sid, "code": o.error_code, "now": now} for o in outcomes]
    tx.execute(SETTLE[state], values)
    for outcome in outcomes:
        audit.append(
            tx,
            f"message.{state.value}",
            at=now,
            actor="gateway",
            number=outcome.permit.number,
            program_id=outcome.permit.program_id,
            cause=f"message:{outcome.permit.id}",
            permitted_at=outcome.permit.claimed_at.isoformat(),
            sid=outcome.sid,
            error=outcome.error_code,
        )


def record_status(
    tx: Transaction, message_id: int | None, sid: str, status: str, error_code: int | None, now: datetime
) -> bool:
    """Applies a status callback; False when it is no news or about no text of ours.

    `message_id` comes from the callback's own address, so a callback may be earlier than our commit of the
    SID, and adopts a text whose answer we lost.
    """
    state = TWILIO_STATES.get(status)
    if state is None:
        return False
    values = {"message_id": message_id or 0, "new_sid": sid, "code": error_code, "now": now}
    found = tx.execute(STATUS[state, message_id is not None], values).first()
    if found is None:
        return False
    audit.append(
        tx,
        f"message.{state.value}",
        at=now,
        actor="carrier",
        number=found.number,
        program_id=found.program_id,
        cause=f"message:{found.id}",
        sid=sid,
        error=error_code,
    )
    if error_code == OPTED_OUT_CODE:
        _opted_out_at_carrier(tx, found.id, found.number, found.program_id, now)
    return True


def _opted_out_at_carrier(tx: Transaction, message_id: int, number: str, program_id: int, now: datetime) -> None:
    """The carrier's block list holds her: the same event as a STOP, in the scope of her region."""
    place = phone.place_of(number)
    rules = regions.rules_at(place, now)
    signal = Signal(
        at=now,
        source=Source.CARRIER,
        cause=f"message:{message_id}",
        rule=f"carrier:{OPTED_OUT_CODE}",
        actor="carrier",
        pack_version=rules.pack_version,
        country=place.country,
    )
    optouts.record(tx, number, Scope(rules.default_scope), signal, program_id=program_id)


def in_doubt(connection: Connection, now: datetime, settings: Settings, limit: int = 500) -> Sequence[Row[Any]]:
    """Texts whose outcome is unknown, or whose worker is dead or has held them past its lease."""
    alive = select(workers.c.id).where(workers.c.beat_at > now - timedelta(seconds=settings.worker_grace))
    overdue = outbound.c.claimed_at < now - timedelta(seconds=settings.lease)
    query = (
        select(outbound)
        .where(
            # Spelt as text, so that the partial index serves: 31 ms at 200,000 rows without it.
            literal_column("outbound_messages.state IN ('sending', 'unknown')"),
            or_(
                outbound.c.state == State.UNKNOWN,
                and_(
                    outbound.c.state == State.SENDING,
                    or_(outbound.c.claimed_by.not_in(alive), overdue),
                ),
            ),
        )
        .order_by(outbound.c.claimed_at)
        .limit(limit)
    )
    return connection.execute(query).all()


def known_sids(connection: Connection, sids: Sequence[str]) -> set[str]:
    """Those of the carrier's SIDs that already belong to a text of ours."""
    return set(connection.execute(select(outbound.c.sid).where(outbound.c.sid.in_(sids))).scalars())


def _later_states(state: State) -> Any:
    """SQL: the row is still below `state`. Spelt out, because IN cannot be used with many rows at once."""
    return or_(*(outbound.c.state == lower for lower in State if RANK[lower] < RANK[state]))


def _settle_statement(state: State) -> Any:
    # A callback may have been quicker than our own settling: then only the SID is still missing.
    return (
        update(outbound)
        .where(outbound.c.id == bindparam("message_id"))
        .values(
            state=case((_later_states(state), state), else_=outbound.c.state),
            sid=case((outbound.c.sid.is_(None), bindparam("new_sid")), else_=outbound.c.sid),
            error_code=case((_later_states(state), bindparam("code")), else_=outbound.c.error_code),
            settled_at=bindparam("now"),
        )
    )


def _status_statement(state: State, by_id: bool) -> Any:
    ours = outbound.c.sid.is_(None) | (outbound.c.sid == bindparam("new_sid"))
    by = and_(outbound.c.id == bindparam("message_id"), ours)
    who = by if by_id else outbound.c.sid == bindparam("new_sid")
    return (
        update(outbound)
        .where(who, _later_states(state))
        .values(state=state, sid=bindparam("new_sid"), error_code=bindparam("code"), settled_at=bindparam("now"))
        .returning(outbound.c.id, outbound.c.number, outbound.c.program_id)
    )


SETTLE = {state: _settle_statement(state) for state in (State.SENT, State.UNKNOWN, *FINAL)}
STATUS = {
    (state, by_id): _status_statement(state, by_id)
    for state in set(TWILIO_STATES.values())
    for by_id in (True, False)
}
