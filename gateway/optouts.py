"""Opt-outs: the only writer of `opt_outs`, and the one place that knows what an opt-out stops.

An opt-out is a fact row. `record` adds one and turns waiting texts in its scope into `suppressed`; `lift`
closes it on a newer signal from the person. Nothing expires and nothing is deleted.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    String,
    and_,
    bindparam,
    case,
    exists,
    func,
    literal_column,
    or_,
    select,
    update,
)

from gateway import audit
from gateway.db import Transaction, insert_new
from gateway.models import Category, OptOut, OutboundMessage, Scope, Source, State

opt_outs = OptOut.__table__  # type: ignore[attr-defined]
outbound = OutboundMessage.__table__  # type: ignore[attr-defined]

WAITING = frozenset({State.QUEUED, State.HELD})

# One lock for "who comes first": a STOP (shared) against whatever puts texts into the queue (alone).
QUEUE_LOCK = 810_241


@dataclass(frozen=True, slots=True)
class Signal:
    """What the person did, and under which rules we understood it."""

    at: datetime
    source: Source
    cause: str
    rule: str
    actor: str = "recipient"
    vocabulary_version: str = ""
    pack_version: str = ""
    country: str = "ZZ"


@dataclass(frozen=True, slots=True)
class Recorded:
    """What `record` did: the row that holds now, whether it is new, and the texts it met."""

    id: int
    is_new: bool
    suppressed: int = 0
    residue: int = 0


def stops(number: Any, category: Any, program_id: Any) -> ColumnElement[bool]:
    """SQL: an open opt-out stands against a text of this category and program to this number.

    The arguments are columns or values. `all` stops informational texts too; replies are never stopped.
    """
    return and_(
        category != Category.REPLY,
        exists().where(
            opt_outs.c.number == number,
            opt_outs.c.lifted_at.is_(None),
            or_(
                opt_outs.c.scope == Scope.ALL,
                and_(
                    category == Category.MARKETING,
                    or_(opt_outs.c.scope == Scope.MARKETING, opt_outs.c.program_id == program_id),
                ),
            ),
        ),
    )


def is_out(connection: Connection, number: str, category: Category, program_id: int | None) -> bool:
    """Whether a text of this category and program to this number would be stopped now."""
    if category is Category.REPLY:
        return False
    rows = connection.execute(OPEN_ROWS, {"number": number})
    wanted = Scope.ALL if category is Category.INFORMATIONAL else Scope.PROGRAM
    return any(_covers(row, wanted, program_id) for row in rows)


def record(
    tx: Transaction, number: str, scope: Scope, signal: Signal, *, program_id: int | None = None
) -> Recorded:
    """Takes the number out at once. Already out in this scope: an event only, and `is_new` is False.

    `program_id` is the program she was dealing with; it bounds the scope `program` and is kept otherwise.
    """
    if scope is Scope.PROGRAM and program_id is None:
        scope = Scope.MARKETING
    _take_turn(tx)
    held = _covering(tx, number, scope, program_id)
    if held and not _still_held(tx, held, signal):
        # A START on another connection has just closed it: this STOP is the newer word.
        held = None
    new_id = None if held else _insert(tx, number, scope, signal, program_id)
    if new_id is None:
        return _already_out(tx, number, scope, signal, program_id, held)
    suppressed, residue = _suppress(tx, number, scope, signal, program_id)
    audit.append(
        tx,
        "opt_out.recorded",
        at=signal.at,
        actor=signal.actor,
        number=number,
        program_id=program_id,
        cause=signal.cause,
        scope=scope.value,
        source=signal.source.value,
        rule=signal.rule,
        opt_out=new_id,
        suppressed=suppressed,
        residue=residue,
        vocabulary=signal.vocabulary_version,
        pack=signal.pack_version,
    )
    return Recorded(new_id, True, suppressed, residue)


def lift(tx: Transaction, number: str, signal: Signal, *, program_id: int | None = None) -> list[int]:
    """Opens the number again for the program: closes the rows that stop its marketing.

    Only rows older than the signal: a START that is late, replayed or restored changes nothing (P7). Returns
    the ids of the rows lifted; none is written down as an ignored signal.
    """
    _take_turn(tx)
    lifted = (
        tx.execute(LIFT, {"number_": number, "at": signal.at, "program": program_id, "by": signal.cause})
        .scalars()
        .all()
    )
    audit.append(
        tx,
        "opt_out.lifted" if lifted else "opt_in.ignored",
        at=signal.at,
        actor=signal.actor,
        number=number,
        program_id=program_id,
        cause=signal.cause,
        source=signal.source.value,
        rule=signal.rule,
        opt_outs=list(lifted),
    )
    return list(lifted)


def give_reason(tx: Transaction, opt_out_id: int, reason: str, *, number: str, at: datetime, cause: str) -> None:
    """Keeps why she left, from the page's fixed list."""
    tx.execute(update(opt_outs).where(opt_outs.c.id == opt_out_id).values(reason=reason))
    audit.append(
        tx, "opt_out.reason_given", at=at, actor="recipient", number=number, cause=cause, opt_out=opt_out_id,
        reason=reason,
    )  # fmt: skip


def take_turn_alone(tx: Transaction) -> None:
    """Before texts are put into the queue: a STOP is either seen by the screening or waits and suppresses them.

    Without it a row queued while a STOP's transaction runs is seen by neither (measured design, P3). SQLite
    has one writer and needs nothing.
    """
    if not tx.is_sqlite:
        tx.once(ALONE)


def _take_turn(tx: Transaction) -> None:
    if not tx.is_sqlite:
        tx.once(SHARED)


def _covering(tx: Transaction, number: str, scope: Scope, program_id: int | None) -> int | None:
    rows = tx.execute(OPEN_ROWS, {"number": number})
    return next((row.id for row in rows if _covers(row, scope, program_id)), None)


def _still_held(tx: Transaction, opt_out_id: int, signal: Signal) -> bool:
    """Notes the newer signal on the open row; waits for whoever is closing it, False if it is closed then."""
    return bool(tx.execute(SIGNAL, {"held": opt_out_id, "at": signal.at}).rowcount)


def _covers(row: Any, scope: Scope, program_id: int | None) -> bool:
    if row.scope == Scope.ALL:
        return True
    if scope is Scope.ALL:
        return False
    return row.scope == Scope.MARKETING or (scope is Scope.PROGRAM and row.program_id == program_id)


def _insert(tx: Transaction, number: str, scope: Scope, signal: Signal, program_id: int | None) -> int | None:
    row = {
        "number": number,
        "scope": scope,
        "program_id": program_id if scope is Scope.PROGRAM else None,
        "heard_by_program_id": program_id,
        "since": signal.at,
        "last_signal_at": signal.at,
        "source": signal.source,
        "cause": signal.cause,
        "rule": signal.rule,
        "vocabulary_version": signal.vocabulary_version,
        "pack_version": signal.pack_version,
        "country": signal.country,
    }
    inserted: int | None = tx.execute(insert_new(opt_outs, tx.is_sqlite), row).scalar()
    return inserted


def _already_out(
    tx: Transaction, number: str, scope: Scope, signal: Signal, program_id: int | None, held: int | None
) -> Recorded:
    # Another process was first: its row is there now, since its commit is what made our insert give way.
    held = held or _covering(tx, number, scope, program_id) or 0
    audit.append(
        tx, "opt_out.repeated", at=signal.at, actor=signal.actor, number=number, program_id=program_id,
        cause=signal.cause, scope=scope.value, source=signal.source.value, rule=signal.rule, opt_out=held,
    )  # fmt: skip
    return Recorded(held, False)


def _suppress(
    tx: Transaction, number: str, scope: Scope, signal: Signal, program_id: int | None
) -> tuple[int, int]:
    """Texts still waiting become `suppressed`; those already handed over are the residue."""
    values = {"number_": number, "program": program_id, "scope_": scope.value}
    found = tx.execute(OPEN_TEXTS, values).all()
    waiting = [row.id for row in found if row.state in WAITING]
    if waiting:
        tx.execute(SUPPRESS, {"ids": waiting, "at": signal.at})
    return len(waiting), len(found) - len(waiting)


def _in_scope() -> ColumnElement[bool]:
    """SQL over parameters: the text falls under an opt-out of `scope_` by `program`."""
    scope, marketing = bindparam("scope_", type_=String()), outbound.c.category == Category.MARKETING
    return or_(
        and_(scope == Scope.ALL.value, outbound.c.category != Category.REPLY),
        and_(scope == Scope.MARKETING.value, marketing),
        and_(scope == Scope.PROGRAM.value, marketing, outbound.c.program_id == bindparam("program")),
    )


# Built once: SQLAlchemy then finds the compiled form by identity, 60 µs less a call.
ALONE = select(func.pg_advisory_xact_lock(QUEUE_LOCK))
SHARED = select(func.pg_advisory_xact_lock_shared(QUEUE_LOCK))
OPEN_ROWS = select(opt_outs.c.id, opt_outs.c.scope, opt_outs.c.program_id).where(
    opt_outs.c.number == bindparam("number"), opt_outs.c.lifted_at.is_(None)
)
SIGNAL = (
    update(opt_outs)
    .where(opt_outs.c.id == bindparam("held"), opt_outs.c.lifted_at.is_(None))
    .values(
        last_signal_at=case(
            (opt_outs.c.last_signal_at < bindparam("at"), bindparam("at")), else_=opt_outs.c.last_signal_at
        )
    )
)
LIFT = (
    update(opt_outs)
    .where(
        opt_outs.c.number == bindparam("number_"),
        opt_outs.c.lifted_at.is_(None),
        opt_outs.c.last_signal_at < bindparam("at"),
        or_(opt_outs.c.scope != Scope.PROGRAM, opt_outs.c.program_id == bindparam("program")),
    )
    .values(lifted_at=bindparam("at"), lifted_by=bindparam("by"))
    .returning(opt_outs.c.id)
)
# Locked, so that a claim under way is waited for and then counted; mostly there is none, and this is all.
OPEN_TEXTS = (
    select(outbound.c.id, outbound.c.state)
    .where(
        outbound.c.number == bindparam("number_"),
        # Spelt as text: the partial index is used only where the planner sees these very constants.
        literal_column("outbound_messages.state IN ('queued', 'held', 'sending', 'unknown')"),
        _in_scope(),
    )
    .order_by(outbound.c.id)
    .with_for_update()
)
SUPPRESS = (
    update(outbound)
    .where(outbound.c.id.in_(bindparam("ids", expanding=True)))
    .values(state=State.SUPPRESSED, settled_at=bindparam("at"))
)
