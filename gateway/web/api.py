"""The API, `/api/v1/…`: what marketers' and auditors' programs do. Keys come in `Authorization: Bearer KEY`."""

import asyncio
import io
from collections.abc import Callable, Iterator
from tempfile import SpooledTemporaryFile
from typing import Any, BinaryIO, cast

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from gateway import audit, campaigns, contacts, external, phone, programs
from gateway.contacts import Line
from gateway.errors import BadInput
from gateway.models import Role
from gateway.web import api_models as models
from gateway.web.api_endpoints import ROOT, Call, Endpoints
from gateway.web.headers import TooLarge
from gateway.web.openapi import document

endpoints = Endpoints()

ADMIN = (Role.ADMIN,)
MARKETER = (Role.MARKETER,)
AUDITOR = (Role.AUDITOR,)
ANYBODY = (Role.MARKETER, Role.AUDITOR)
CSV = "text/csv"
MOST_ERRORS = 1000
# Smaller uploads never touch the disk.
IN_MEMORY = 1024 * 1024


@endpoints.add("POST", "/programs", roles=ADMIN, takes=models.NewProgram, gives=models.Created, status=201)
async def create_program(call: Call, new: models.NewProgram) -> models.Created:
    """Add a program: a brand, department or list that recipients know by name."""
    return models.Created(id=await _change(call, programs.create, **dict(new), actor=call.actor))


@endpoints.add("GET", "/programs", roles=ANYBODY, gives=models.Programs)
async def list_programs(call: Call) -> models.Programs:
    """List the programs."""
    rows = await call.context.db.read(programs.listing)
    return models.Programs.model_validate({"programs": rows})


@endpoints.add("POST", "/senders", roles=ADMIN, takes=models.NewSender, gives=models.Created, status=201)
async def create_sender(call: Call, new: models.NewSender) -> models.Created:
    """Add a sender: a number, short code or name that a program's texts are sent from."""
    return models.Created(id=await _change(call, programs.create_sender, **dict(new), actor=call.actor))


@endpoints.add("GET", "/senders", roles=ANYBODY, gives=models.Senders)
async def list_senders(call: Call) -> models.Senders:
    """List the senders of all programs."""
    rows = await call.context.db.read(programs.senders)
    return models.Senders.model_validate({"senders": rows})


@endpoints.add(
    "POST", "/campaigns", roles=MARKETER, takes=models.NewCampaign, gives=models.CampaignCreated, status=201
)
async def create_campaign(call: Call, new: models.NewCampaign) -> models.CampaignCreated:
    """Draft a campaign; segments are counted before anything is sent."""
    campaign_id = await _change(call, campaigns.create, **dict(new), created_by=call.actor)
    language = await call.context.db.read(programs.language_of, new.program_id)
    count = campaigns.estimate(new.text.strip(), new.with_link, language, call.context.settings)
    return models.CampaignCreated(id=campaign_id, encoding=count.encoding, segments_per_text=count.segments)


@endpoints.add("GET", "/campaigns", roles=ANYBODY, gives=models.Campaigns)
async def list_campaigns(call: Call) -> models.Campaigns:
    """List the 50 newest campaigns."""
    rows = await call.context.db.read(campaigns.listing)
    return models.Campaigns.model_validate({"campaigns": rows})


@endpoints.add("GET", "/campaigns/{id:int}", roles=ANYBODY, gives=models.CampaignProgress)
async def show_campaign(call: Call) -> models.CampaignProgress:
    """Show how far a campaign is."""
    return await _progress(call)


@endpoints.add(
    "POST",
    "/campaigns/{id:int}/recipients",
    roles=MARKETER,
    takes=models.NewRecipients,
    also_takes=(CSV,),
    large=True,
    gives=models.RecipientsAdded,
)
async def add_recipients(call: Call, new: models.NewRecipients | None = None) -> models.RecipientsAdded:
    """Add recipients to a draft; bad rows are listed, duplicates folded, all others taken."""
    country = await call.context.db.read(campaigns.country_of, call.id)
    if new is not None:
        lines = (contacts.line(row, cell, country) for row, cell in enumerate(new.recipients, 1))
        return await asyncio.to_thread(_fill, call, lines)
    with SpooledTemporaryFile(IN_MEMORY) as spool:
        await _receive(call.request, cast(BinaryIO, spool), call.context.settings.max_upload_bytes)
        return await asyncio.to_thread(_fill_from, call, cast(BinaryIO, spool), country)


@endpoints.add("POST", "/campaigns/{id:int}/start", roles=MARKETER, gives=models.CampaignProgress)
async def start_campaign(call: Call) -> models.CampaignProgress:
    """Start a campaign: its texts are screened, queued and sent."""
    await _change(call, campaigns.start, call.id, actor=call.actor)
    return await _progress(call)


@endpoints.add("POST", "/campaigns/{id:int}/cancel", roles=MARKETER, gives=models.CampaignProgress)
async def cancel_campaign(call: Call) -> models.CampaignProgress:
    """Cancel a campaign at once; texts that were handed over cannot be called back."""
    await _change(call, campaigns.cancel, call.id, actor=call.actor)
    return await _progress(call)


@endpoints.add("GET", "/opt-outs/{number}", roles=ANYBODY, gives=models.OptOuts)
async def show_opt_outs(call: Call) -> models.OptOuts:
    """Show every opt-out of a number."""
    number = _number(call.request.path_params["number"])
    rows = await call.context.db.read(external.of_number, number)
    return models.OptOuts.model_validate({"number": number, "opt_outs": rows})


@endpoints.add("POST", "/opt-outs", roles=MARKETER, takes=models.NewOptOut, gives=models.OptOutAdded)
async def add_opt_out(call: Call, new: models.NewOptOut) -> models.OptOutAdded:
    """Take a number out that told you so elsewhere; only the person can come back."""
    values = dict(new) | {"number": _number(new.number)}
    return models.OptOutAdded.model_validate(await _change(call, external.add, **values, actor=call.actor))


@endpoints.add(
    "GET", "/audit-events", roles=AUDITOR, query=models.EventFilter, gives=models.Event, gives_lines=True
)
async def list_audit_events(call: Call, wanted: models.EventFilter) -> Response:
    """Read the audit log as JSON lines; the next page begins after the last id of this one."""
    values = dict(wanted) | {"number": _number(wanted.number) if wanted.number else None}
    lines = await call.context.db.read(_events, values)
    return Response(lines, media_type="application/x-ndjson")


async def show_document(request: Request) -> Response:
    """`GET /api/v1/openapi.json`, for everybody."""
    return JSONResponse(document(endpoints.all))


async def _change(call: Call, verb: Callable[..., Any], *args: Any, **values: Any) -> Any:
    return await call.context.db.writer.submit(verb, *args, **values, now=call.context.now())


async def _progress(call: Call) -> models.CampaignProgress:
    progress = await call.context.db.read(campaigns.progress, call.id)
    return models.CampaignProgress.model_validate(progress)


async def _receive(request: Request, spool: BinaryIO, limit: int) -> None:
    """The body into a file that may be large. Raises TooLarge as soon as it is too large."""
    taken = 0
    async for chunk in request.stream():
        taken += len(chunk)
        if taken > limit:
            raise TooLarge(f"More than {limit} bytes.")
        spool.write(chunk)
    spool.seek(0)


def _fill_from(call: Call, spool: BinaryIO, country: str) -> models.RecipientsAdded:
    with contacts.as_text(spool) as text:
        return _fill(call, contacts.read(text, country))


def _fill(call: Call, lines: Iterator[Line]) -> models.RecipientsAdded:
    result = models.RecipientsAdded(added=0, duplicates=0, bad_rows=0, errors=[])
    for filled in campaigns.fill(call.context.db, call.id, lines, call.context.now()):
        result.added += filled.added
        result.duplicates += filled.duplicates
        result.bad_rows += len(filled.errors)
        room = MOST_ERRORS - len(result.errors)
        result.errors += [models.BadRow(row=bad.row, error=bad.error or "") for bad in filled.errors[:room]]
    return result


def _events(connection: Connection, values: dict[str, Any]) -> str:
    out = io.StringIO()
    audit.export_jsonl(audit.read(connection, **values), out)
    return out.getvalue()


def _number(raw: str) -> str:
    # A query string's "+" means a space: "?number=+49…" arrives as " 49…".
    given = "+" + raw[1:] if raw.startswith(" ") else raw
    try:
        return phone.parse(given)
    except phone.BadNumber as error:
        raise BadInput(f"number: {error.reason}.", field="number") from None


routes: list[BaseRoute] = [Route(f"{ROOT}/openapi.json", show_document), *endpoints.routes()]
