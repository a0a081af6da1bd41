"""Pages that only look: who is out and why, and the audit log with its downloads."""

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import TextIOWrapper
from typing import IO, Any, TextIO

from sqlalchemy import Connection, Row, bindparam, select
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from gateway import audit, phone
from gateway.errors import BadInput
from gateway.keys import Key
from gateway.models import OptOut, Program, Role
from gateway.web.console_page import for_roles, show
from gateway.web.context import context

opt_outs = OptOut.__table__  # type: ignore[attr-defined]
programs = Program.__table__  # type: ignore[attr-defined]

ROWS = 100
EXPORTS: dict[str, tuple[str, Callable[[Iterator[Row[Any]], TextIO], int]]] = {
    "csv": ("text/csv; charset=utf-8", audit.export_csv),
    "jsonl": ("application/jsonl", audit.export_jsonl),
}


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events: of one number, since (inclusive) and until (exclusive) aware UTC moments."""

    number: str | None
    since: datetime | None
    until: datetime | None


@for_roles(Role.MARKETER, Role.AUDITOR)
async def list_opt_outs(request: Request, key: Key) -> Response:
    """`GET /console/opt-outs?number=`: the opt-outs of one number, or the newest, numbers redacted."""
    typed = request.query_params.get("number", "").strip()
    number = _number(typed)
    rows = await context(request).db.read(_opt_outs, number)
    return show(request, key, "opt_outs.html", rows=rows, number=number, typed=typed, redact=phone.redact)


@for_roles(Role.AUDITOR)
async def list_events(request: Request, key: Key) -> Response:
    """`GET /console/audit?number=&since=&until=&after=`: events in order; without a filter the last day's."""
    now = context(request).now()
    asked = dict(request.query_params) or {"since": (now - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M")}
    rows = await context(request).db.read(_events, _filter(asked), _whole(asked.get("after", "")))
    typed = {name: asked.get(name, "") for name in ("number", "since", "until")}
    more = rows[-1].id if len(rows) == ROWS else None
    return show(request, key, "audit.html", rows=rows, typed=typed, more=more, as_json=_as_json)


@for_roles(Role.AUDITOR)
async def download(request: Request, key: Key) -> Response:
    """`GET /console/audit/events.csv` and `.jsonl`: all events of the filter, however many."""
    kind = request.url.path.rpartition(".")[2]
    media_type, export = EXPORTS[kind]
    chosen = _filter(dict(request.query_params))
    file = await context(request).db.read(_exported, chosen, export)
    headers = {"Content-Disposition": f'attachment; filename="audit-events.{kind}"'}
    return StreamingResponse(_chunks(file), media_type=media_type, headers=headers)


def _number(typed: str) -> str | None:
    """E.164 of what was typed, a short code as it is. Raises BadInput."""
    if not typed or phone.is_short_code(typed):
        return typed or None
    try:
        return phone.parse(typed)
    except phone.BadNumber as error:
        raise BadInput(f"That number: {error.reason}.", field="number") from None


def _filter(asked: dict[str, str]) -> Filter:
    number = _number(asked.get("number", "").strip())
    return Filter(number, _moment("since", asked), _moment("until", asked))


def _moment(name: str, asked: dict[str, str]) -> datetime | None:
    """A date or time as typed, UTC where it names no zone. Raises BadInput."""
    typed = asked.get(name, "").strip()
    if not typed:
        return None
    try:
        moment = datetime.fromisoformat(typed)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadInput(f"{name} is a date and time such as 2026-11-23T15:00.", field=name) from None


def _whole(typed: str) -> int:
    return int(typed) if typed.isascii() and typed.isdigit() and len(typed) <= 18 else 0


def _as_json(details: Any) -> str:
    return json.dumps(details, ensure_ascii=False, sort_keys=True)


def _opt_outs(connection: Connection, number: str | None) -> Sequence[Row[Any]]:
    if number is None:
        return connection.execute(NEWEST).all()
    return connection.execute(OF_NUMBER, {"number": number}).all()


def _events(connection: Connection, chosen: Filter, after: int) -> list[Row[Any]]:
    return list(
        audit.read(
            connection,
            number=chosen.number,
            since=chosen.since,
            until=chosen.until,
            after_id=after,
            limit=ROWS,
        )
    )


def _exported(
    connection: Connection, chosen: Filter, export: Callable[[Iterator[Row[Any]], TextIO], int]
) -> IO[bytes]:
    """A temporary file with the whole export: memory stays flat, and no slow download holds a connection."""
    file = tempfile.TemporaryFile()  # noqa: SIM115  (closed by _chunks)
    text = TextIOWrapper(file, encoding="utf-8", newline="")
    export(audit.read(connection, number=chosen.number, since=chosen.since, until=chosen.until), text)
    text.flush()
    text.detach()
    file.seek(0)
    return file


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while chunk := file.read(1 << 16):
            yield chunk


_found = (
    select(opt_outs, programs.c.name.label("program"))
    .outerjoin(programs, programs.c.id == opt_outs.c.heard_by_program_id)
    .order_by(opt_outs.c.id.desc())
)
NEWEST = _found.limit(ROWS)
OF_NUMBER = _found.where(opt_outs.c.number == bindparam("number"))

routes: list[BaseRoute] = [
    Route("/console/opt-outs", list_opt_outs, methods=["GET"]),
    Route("/console/audit", list_events, methods=["GET"]),
    Route("/console/audit/events.csv", download, methods=["GET"]),
    Route("/console/audit/events.jsonl", download, methods=["GET"]),
]
