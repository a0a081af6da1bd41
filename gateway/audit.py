"""The audit log: who did what to whom, when and why. The only writer of `audit_events`.

Events are appended in the transaction of the change they tell of, in the order of their ids; sealing takes
them up from there. Triggers on both databases refuse to change or delete one.
"""

import csv
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, TextIO

from sqlalchemy import Connection, Row, select

from gateway.db import Transaction
from gateway.models import AuditEvent

events = AuditEvent.__table__  # type: ignore[attr-defined]

COLUMNS = ("id", "at", "action", "actor", "number", "program_id", "cause", "details")
# A spreadsheet runs a cell that begins with one of these; the quote in front makes it text.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def append(
    tx: Transaction,
    action: str,
    *,
    at: datetime,
    actor: str,
    number: str | None = None,
    program_id: int | None = None,
    cause: str | None = None,
    **details: Any,
) -> None:
    """Adds one event. `action` is `thing.verb`; `details` must be JSON and hold no message body."""
    tx.later(
        events,
        {
            "at": at,
            "action": action,
            "actor": actor,
            "number": number,
            "program_id": program_id,
            "cause": cause,
            "details": details,
        },
    )


def read(
    connection: Connection,
    *,
    number: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    after_id: int = 0,
    limit: int | None = None,
) -> Iterator[Row[Any]]:
    """Events in order, of one number or a span of time (`since` ≤ at < `until`) if given."""
    query = select(*(events.c[name] for name in COLUMNS)).where(events.c.id > after_id).order_by(events.c.id)
    if number is not None:
        query = query.where(events.c.number == number)
    if since is not None:
        query = query.where(events.c.at >= since)
    if until is not None:
        query = query.where(events.c.at < until)
    yield from connection.execute(query.limit(limit)).yield_per(1000)


def export_jsonl(rows: Iterator[Row[Any]], out: TextIO) -> int:
    """One JSON object a line, keys sorted; returns how many."""
    return sum(bool(out.write(_as_json(row) + "\n")) for row in rows)


def export_csv(rows: Iterator[Row[Any]], out: TextIO) -> int:
    """A header and one row an event, `details` as JSON; cells that a spreadsheet would run are defused."""
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    return sum(bool(writer.writerow(_cells(row))) for row in rows)


def _as_json(event: Row[Any]) -> str:
    return json.dumps(_as_dict(event), ensure_ascii=False, sort_keys=True)


def _cells(row: Row[Any]) -> list[Any]:
    event = _as_dict(row)
    event["details"] = json.dumps(event["details"], ensure_ascii=False, sort_keys=True)
    return [defused(event[name]) for name in COLUMNS]


def _as_dict(row: Row[Any]) -> dict[str, Any]:
    event = dict(row._mapping)
    event["at"] = event["at"].astimezone(UTC).isoformat()
    return event


def defused(value: Any) -> Any:
    """A cell that a spreadsheet shows and does not run."""
    # A number's "+" is harmless: it is followed by digits only.
    if isinstance(value, str) and value.startswith(FORMULA_STARTS) and not value[1:].isdigit():
        return "'" + value
    return value
