"""The marketer's pages: campaigns, a new one, its review, its progress."""

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, TextIO

from sqlalchemy import Connection, bindparam, func, select
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from gateway import campaigns, contacts, links, programs
from gateway.contacts import Line
from gateway.errors import BadInput, NotFound
from gateway.keys import Key
from gateway.models import Campaign, CampaignState, Category, OptOut, OutboundMessage, Program, Role, Sender
from gateway.settings import Settings
from gateway.web.console_page import for_roles, our_form, path_id, show, text_of
from gateway.web.context import Context, context

campaign_table = Campaign.__table__  # type: ignore[attr-defined]
sender_table = Sender.__table__  # type: ignore[attr-defined]
program_table = Program.__table__  # type: ignore[attr-defined]
outbound = OutboundMessage.__table__  # type: ignore[attr-defined]
opt_outs = OptOut.__table__  # type: ignore[attr-defined]

MOST_ERRORS_SHOWN = 100
EXAMPLE_TOKEN = "x" * links.TOKEN_LENGTH
CATEGORIES = (Category.MARKETING, Category.INFORMATIONAL)


@dataclass
class Taken:
    """What became of the rows that were given: taken in, there already, refused (the first ones listed)."""

    added: int = 0
    duplicates: int = 0
    refused: int = 0
    errors: list[Line] = field(default_factory=list)


@for_roles(Role.MARKETER)
async def list_all(request: Request, key: Key) -> Response:
    """`GET /console`"""
    rows = await context(request).db.read(campaigns.listing)
    refresh = any(row.state == CampaignState.RUNNING for row in rows)
    return show(request, key, "campaigns.html", campaigns=rows, refresh=refresh)


@for_roles(Role.MARKETER)
async def new(request: Request, key: Key) -> Response:
    """`GET /console/campaigns/new`"""
    return await _new_page(request, key, FormData(with_link="on"))


@for_roles(Role.MARKETER)
async def create(request: Request, key: Key) -> Response:
    """`POST /console/campaigns/new`: a draft with its recipients, shown for review; nothing is sent yet."""
    form = await our_form(request, files=1)
    async with _closing(form):
        try:
            sender = await _sender(request, form)
            streams = _recipients(form)
            campaign_id = await _create(request, key, form, sender)
        except BadInput as error:
            return await _new_page(request, key, form, error)
        taken = await _take_in(context(request), campaign_id, streams, sender.default_country)
    return await _campaign_page(request, key, campaign_id, taken)


@for_roles(Role.MARKETER)
async def add(request: Request, key: Key) -> Response:
    """`POST /console/campaigns/{id}/recipients`: more recipients for a draft."""
    form = await our_form(request, files=1)
    async with _closing(form):
        ctx, campaign_id = context(request), path_id(request)
        campaign = await ctx.db.read(_detail, campaign_id)
        taken = await _take_in(ctx, campaign_id, _recipients(form), campaign.default_country)
    return await _campaign_page(request, key, campaign_id, taken)


@for_roles(Role.MARKETER)
async def look(request: Request, key: Key) -> Response:
    """`GET /console/campaigns/{id}`: the review of a draft, the progress of what runs."""
    return await _campaign_page(request, key, path_id(request))


@for_roles(Role.MARKETER)
async def send(request: Request, key: Key) -> Response:
    """`POST /console/campaigns/{id}/send`"""
    await our_form(request)
    ctx, campaign_id = context(request), path_id(request)
    await ctx.db.writer.submit(campaigns.start, campaign_id, ctx.now(), key.name)
    return RedirectResponse(f"/console/campaigns/{campaign_id}", 303)


@for_roles(Role.MARKETER)
async def cancel(request: Request, key: Key) -> Response:
    """`POST /console/campaigns/{id}/cancel`"""
    await our_form(request)
    ctx, campaign_id = context(request), path_id(request)
    await ctx.db.writer.submit(campaigns.cancel, campaign_id, ctx.now(), key.name)
    return RedirectResponse(f"/console/campaigns/{campaign_id}", 303)


async def _new_page(request: Request, key: Key, form: FormData, error: BadInput | None = None) -> Response:
    """The empty form, or what was typed with what is wrong about it."""
    typed = {name: text_of(form, name) for name in ("sender", "name", "text", "category", "with_link", "numbers")}
    senders = await context(request).db.read(programs.senders)
    status = 422 if error else 200
    return show(
        request, key, "new.html", status=status, senders=senders, typed=typed, categories=CATEGORIES, error=error
    )


async def _sender(request: Request, form: FormData) -> Any:
    """The chosen sender with its program's country. Raises BadInput."""
    chosen = text_of(form, "sender")
    sender_id = int(chosen) if chosen.isascii() and chosen.isdigit() and len(chosen) <= 18 else 0
    found = await context(request).db.read(lambda c: c.execute(SENDER, {"sender": sender_id}).first())
    if found is None:
        raise BadInput("Choose a sender.", field="sender")
    return found


async def _create(request: Request, key: Key, form: FormData, sender: Any) -> int:
    ctx, category = context(request), text_of(form, "category")
    if category not in CATEGORIES:
        raise BadInput("Choose what kind of text this is.", field="category")
    return await ctx.db.writer.submit(
        campaigns.create,
        program_id=sender.program_id,
        sender_id=sender.id,
        name=text_of(form, "name"),
        text=text_of(form, "text").replace("\r\n", "\n"),
        category=Category(category),
        with_link=text_of(form, "with_link") == "on",
        created_by=key.name,
        now=ctx.now(),
    )


@contextlib.asynccontextmanager
async def _closing(form: FormData) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await form.close()


def _recipients(form: FormData) -> list[TextIO]:
    """The pasted numbers and the file as texts. Raises BadInput for a file that is no text."""
    streams: list[TextIO] = [io.StringIO(text_of(form, "numbers"))]
    upload = form.get("file")
    if isinstance(upload, UploadFile) and upload.size:
        streams.append(contacts.as_text(upload.file))
    return streams


async def _take_in(ctx: Context, campaign_id: int, streams: list[TextIO], country: str) -> Taken:
    """Adds the numbers batch by batch, so that a webhook waits for one batch at most."""
    taken = Taken()
    for stream in streams:
        lines = contacts.batches(contacts.read(stream, country), campaigns.MOST_AT_ONCE)
        while batch := await asyncio.to_thread(next, lines, None):
            added = await ctx.db.writer.submit(campaigns.add_recipients, campaign_id, batch.numbers, ctx.now())
            taken.added += added.added
            taken.duplicates += added.duplicates
            taken.refused += len(batch.errors)
            taken.errors += batch.errors[: MOST_ERRORS_SHOWN - len(taken.errors)]
    return taken


async def _campaign_page(request: Request, key: Key, campaign_id: int, taken: Taken | None = None) -> Response:
    ctx = context(request)
    found = await ctx.db.read(_about, campaign_id, ctx.settings)
    return show(request, key, "campaign.html", taken=taken, **found)


def _about(connection: Connection, campaign_id: int, settings: Settings) -> dict[str, Any]:
    """All that the page of a campaign shows."""
    campaign = _detail(connection, campaign_id)
    progress = campaigns.progress(connection, campaign_id)
    is_draft = campaign.state == CampaignState.DRAFT
    return {
        "campaign": campaign,
        "progress": progress,
        "preview": _preview(campaign, settings),
        "estimate": campaigns.estimate(campaign.text, campaign.with_link, campaign.language, settings),
        "out": campaigns.out_of(connection, campaign_id) if is_draft else progress.skipped_out,
        "residue": 0 if is_draft else connection.execute(RESIDUE, {"campaign": campaign_id}).scalar_one(),
        "refresh": not is_draft and not progress.is_done,
    }


def _detail(connection: Connection, campaign_id: int) -> Any:
    found = connection.execute(DETAIL, {"campaign": campaign_id}).first()
    if found is None:
        raise NotFound("There is no such campaign.")
    return found


def _preview(campaign: Any, settings: Settings) -> str:
    """The text as it will arrive, with an example for the link."""
    if not campaign.with_link:
        return str(campaign.text)
    link = links.short_link(EXAMPLE_TOKEN, link_url=settings.link_url, public_url=settings.public_url)
    return links.append(campaign.text, link, campaign.language)


SENDER = (
    select(sender_table.c.id, sender_table.c.program_id, program_table.c.default_country)
    .join(program_table, program_table.c.id == sender_table.c.program_id)
    .where(sender_table.c.id == bindparam("sender"))
)
DETAIL = (
    select(
        campaign_table,
        sender_table.c.address,
        program_table.c.name.label("program"),
        program_table.c.default_country,
    )
    .join(sender_table, sender_table.c.id == campaign_table.c.sender_id)
    .join(program_table, program_table.c.id == campaign_table.c.program_id)
    .where(campaign_table.c.id == bindparam("campaign"))
)
# Handed over before the recipient left, and not settled before: nobody could call these back (P3). A text
# counts once however often its recipient left.
RESIDUE = (
    select(func.count(outbound.c.id.distinct()))
    .join(opt_outs, opt_outs.c.number == outbound.c.number)
    .where(
        outbound.c.campaign_id == bindparam("campaign"),
        opt_outs.c.since >= outbound.c.claimed_at,
        func.coalesce(outbound.c.settled_at, opt_outs.c.since) >= opt_outs.c.since,
    )
)

ONE = "/console/campaigns/{id:int}"
routes: list[BaseRoute] = [
    Route("/console", list_all, methods=["GET"]),
    Route("/console/campaigns/new", new, methods=["GET"]),
    Route("/console/campaigns/new", create, methods=["POST"]),
    Route(ONE, look, methods=["GET"]),
    Route(f"{ONE}/recipients", add, methods=["POST"]),
    Route(f"{ONE}/send", send, methods=["POST"]),
    Route(f"{ONE}/cancel", cancel, methods=["POST"]),
]
