"""Opt-outs from elsewhere, and ours for others.

What comes in only ever takes numbers out (P7): whoever is in a list of opt-outs is out, whoever is missing from
it stays as she is. It counts from the moment it arrives, so only a newer signal of the person opens her again.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TextIO

from sqlalchemy import Connection, Row, select

from gateway import audit, optouts, phone, regions
from gateway.contacts import Line
from gateway.db import Transaction
from gateway.errors import NotFound
from gateway.models import OptOut, Program, Scope, Source
from gateway.optouts import Recorded, Signal
from gateway.programs import plain

opt_outs = OptOut.__table__  # type: ignore[attr-defined]
programs = Program.__table__  # type: ignore[attr-defined]

COLUMNS = (
    "number",
    "scope",
    "program_id",
    "since",
    "source",
    "cause",
    "rule",
    "country",
    "reason",
    "lifted_at",
    "lifted_by",
)
# `import:` and the note share the 80 characters of a cause, the file's name and the row the 120 of a rule.
MOST_NOTE = 70
MOST_FILE_NAME = 80


@dataclass(frozen=True, slots=True)
class Imported:
    """How many numbers are newly out, and how many were out before."""

    added: int
    already_out: int


def import_lines(
    tx: Transaction,
    lines: Sequence[Line],
    *,
    file: str,
    source_note: str,
    program_id: int | None = None,
    actor: str,
    now: datetime,
) -> Imported:
    """Takes the numbers of the lines out; lines without one are passed over.

    `file` is the file's name and stands with the row in the rule, `source_note` says where the list comes
    from. Raises BadInput or NotFound.
    """
    cause = f"import:{plain('source_note', source_note, MOST_NOTE)}"
    _check_program(tx, program_id)
    new = [
        _record(
            tx,
            line.number,
            None,
            program_id,
            Source.IMPORT,
            cause,
            f"import:{file[-MOST_FILE_NAME:]}:{line.row}",
            actor,
            now,
        ).is_new
        for line in lines
        if line.number is not None
    ]
    return Imported(sum(new), len(new) - sum(new))


def add(
    tx: Transaction,
    number: str,
    *,
    note: str,
    scope: Scope | None = None,
    program_id: int | None = None,
    actor: str,
    now: datetime,
) -> Recorded:
    """Takes one E.164 number out on the word of somebody who heard her (a call, a letter).

    Without a `scope` the default of her region holds. Raises BadInput or NotFound.
    """
    cause = f"api:{plain('note', note, MOST_NOTE)}"
    _check_program(tx, program_id)
    return _record(tx, number, scope, program_id, Source.API, cause, "api", actor, now)


def of_number(connection: Connection, number: str) -> Sequence[Row[Any]]:
    """Every opt-out of a number, lifted ones too, oldest first."""
    query = select(opt_outs).where(opt_outs.c.number == number).order_by(opt_outs.c.since, opt_outs.c.id)
    return connection.execute(query).all()


def export(connection: Connection, out: TextIO, *, lifted_too: bool = False) -> int:
    """Writes open opt-outs as CSV with a header, in the order they came; returns how many."""
    query = select(*(opt_outs.c[name] for name in COLUMNS)).order_by(opt_outs.c.id)
    if not lifted_too:
        query = query.where(opt_outs.c.lifted_at.is_(None))
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    rows = connection.execute(query.execution_options(yield_per=1000))
    return sum(bool(writer.writerow([_cell(value) for value in row])) for row in rows)


def _record(
    tx: Transaction,
    number: str,
    scope: Scope | None,
    program_id: int | None,
    source: Source,
    cause: str,
    rule: str,
    actor: str,
    now: datetime,
) -> Recorded:
    place = phone.place_of(number)
    rules = regions.rules_at(place, now)
    signal = Signal(now, source, cause, rule, actor, pack_version=rules.pack_version, country=place.country)
    return optouts.record(tx, number, scope or Scope(rules.default_scope), signal, program_id=program_id)


def _check_program(tx: Transaction, program_id: int | None) -> None:
    if program_id is not None and not tx.execute(select(programs.c.id).where(programs.c.id == program_id)).first():
        raise NotFound("There is no such program.", field="program_id")


def _cell(value: Any) -> Any:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else audit.defused(value)
