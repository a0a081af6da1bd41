"""`optout send`: one text to everybody in a file, from the command line to the summary."""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from sqlalchemy import Connection, func, select

from gateway import campaigns, contacts, optouts, programs
from gateway.cli.bad_rows import BadRows
from gateway.cli.common import Failed, actor, notes, now, opened, show_facts
from gateway.db import Database
from gateway.errors import BadInput, NotFound
from gateway.models import Category, State, Worker
from gateway.segments import SegmentCount
from gateway.settings import Settings

workers = Worker.__table__  # type: ignore[attr-defined]

LOOK_EVERY = 0.5
# A worker that is only busy may miss a beat or two.
GRACES = 4
HANDED_OVER = (State.SENT, State.DELIVERED, State.UNDELIVERED)


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be sent, checked as far as it can be before anything is written."""

    settings: Settings
    db: Database
    program: Any
    sender: Any
    text: str
    with_link: bool
    each: SegmentCount


def register(app: typer.Typer) -> None:
    app.command()(send)


def send(
    recipients: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="CSV, or one number a line")
    ],
    program: Annotated[str, typer.Option(help="The program the text is from, by its name")],
    text: Annotated[str, typer.Option(help="The text; each recipient's opt-out link is appended")],
    sender: Annotated[
        str | None, typer.Option(help="The sender's address; needed where there are several")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The campaign's name; default the file's and the date")] = None,
    link: Annotated[bool, typer.Option("--link/--no-link", help="Append the opt-out link")] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and count everything, send nothing")] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for the end, with progress")] = True,
    errors: Annotated[Path | None, typer.Option(help="Write the bad rows to this file")] = None,
) -> None:
    """Send one text to everybody in a file. Whoever is out is skipped, and so are bad rows and duplicates.

    A worker does the sending (optout worker, or optout serve); without one the texts wait for it.

    Examples:

      optout send --program Acme --text "20% off today" recipients.csv
      optout send --program Acme --text "20% off today" --dry-run recipients.csv
      optout send --program Acme --sender 12345 --text "Tonight at 8" --errors bad.csv --no-wait list.txt
    """
    with opened(with_jobs=True) as (settings, db):
        order = _order(settings, db, program, sender, text, link)
        notes.print(
            f"Each text has {order.each.segments} segment(s), {order.each.encoding}, {order.each.units} units."
        )
        if dry_run:
            _try_out(order, recipients, errors)
            return
        campaign_id, counted = _draft(
            order, name or f"{recipients.stem} {now():%Y-%m-%d %H:%M}", recipients, errors
        )
        _announce(order, campaign_id, counted)
        db.writer.run(campaigns.start, campaign_id, now(), actor())
        if wait:
            _watch(order, campaign_id)
        _summary(order, campaign_id, counted)


def _order(
    settings: Settings, db: Database, program: str, sender: str | None, text: str, with_link: bool
) -> Order:
    found = db.reading(programs.by_name, program)
    chosen = _choose(db.reading(programs.senders, found.id), sender)
    plain = programs.plain("text", text, campaigns.most_text(with_link))
    each = campaigns.estimate(plain, with_link, found.language, settings)
    return Order(settings, db, found, chosen, plain, with_link, each)


def _choose(senders: Any, address: str | None) -> Any:
    """The sender by its address, or the only one there is."""
    if address is None and len(senders) == 1:
        return senders[0]
    known = ", ".join(sender.address for sender in senders) or "none; see: optout senders create --help"
    if address is None:
        raise BadInput(f"Say which --sender. This program has: {known}.")
    for sender in senders:
        if sender.address == address.strip():
            return sender
    raise NotFound(f"This program has no such sender. It has: {known}.")


def _try_out(order: Order, recipients: Path, errors: Path | None) -> None:
    """`--dry-run`: the same reading and counting, with nothing written."""
    seen: set[str] = set()
    counted: Counter[str] = Counter()
    with BadRows(errors) as bad, contacts.open_text(recipients) as stream:
        for batch in contacts.batches(contacts.read(stream, order.program.default_country)):
            bad.take(batch.errors)
            new = set(batch.numbers) - seen
            counted["duplicates"] += len(batch.numbers) - len(new)
            counted["out"] += order.db.reading(_out_among, new, order.program.id)
            seen |= new
    leaving = len(seen) - counted["out"]
    show_facts(
        [
            ("would be sent", f"{leaving:,}"),
            ("skipped as out", f"{counted['out']:,}"),
            ("duplicates", f"{counted['duplicates']:,}"),
            ("bad rows", f"{bad.count:,}"),
            ("segments", f"{leaving * order.each.segments:,}"),
        ]
    )


def _out_among(connection: Connection, numbers: set[str], program_id: int) -> int:
    return sum(optouts.is_out(connection, number, Category.MARKETING, program_id) for number in numbers)


def _draft(order: Order, name: str, recipients: Path, errors: Path | None) -> tuple[int, Counter[str]]:
    """Writes the draft with its recipients; returns its id and what was counted. Raises Failed without any."""
    with contacts.open_text(recipients) as stream, BadRows(errors) as bad:
        campaign_id = order.db.writer.run(
            campaigns.create,
            program_id=order.program.id,
            sender_id=order.sender.id,
            name=name,
            text=order.text,
            with_link=order.with_link,
            created_by=actor(),
            now=now(),
        )
        counted: Counter[str] = Counter()
        lines = contacts.read(stream, order.program.default_country)
        for filled in _with_count(campaigns.fill(order.db, campaign_id, lines, now())):
            bad.take(filled.errors)
            counted.update(added=filled.added, duplicates=filled.duplicates, bad=len(filled.errors))
    if not counted["added"]:
        order.db.writer.run(campaigns.cancel, campaign_id, now(), actor())
        raise Failed("The file holds no number that can be used.")
    return campaign_id, counted


def _with_count(batches: Iterator[campaigns.Filled]) -> Iterator[campaigns.Filled]:
    with Progress(
        TextColumn("{task.completed:,} rows read"), console=notes, transient=True, disable=not notes.is_terminal
    ) as progress:
        task = progress.add_task("", total=None)
        for batch in batches:
            progress.advance(task, batch.added + batch.duplicates + len(batch.errors))
            yield batch


def _announce(order: Order, campaign_id: int, counted: Counter[str]) -> None:
    out = order.db.reading(campaigns.out_of, campaign_id)
    leaving = counted["added"] - out
    notes.print(
        f"Campaign {campaign_id}: {counted['added']:,} recipients, {out:,} of them out; "
        f"{leaving:,} texts, {leaving * order.each.segments:,} segments."
    )


def _watch(order: Order, campaign_id: int) -> None:
    """Shows the progress until all is settled, quiet hours alone are waited for, or nobody works."""
    columns = (TextColumn("sending"), BarColumn(), MofNCompleteColumn())
    try:
        with Progress(*columns, console=notes, transient=True, disable=not notes.is_terminal) as bar:
            task = bar.add_task("", total=None)
            while (why := _why_stop(order, campaign_id, now())) is None:
                progress = order.db.reading(campaigns.progress, campaign_id)
                bar.update(task, total=progress.recipients, completed=progress.settled)
                time.sleep(LOOK_EVERY)
    except KeyboardInterrupt:
        why = "The campaign goes on by itself; only the waiting has ended."
    if why:
        notes.print(why)


def _why_stop(order: Order, campaign_id: int, moment: datetime) -> str | None:
    """None: go on waiting. Empty: done. Else what the person should know."""
    progress = order.db.reading(campaigns.progress, campaign_id)
    if progress.is_done:
        return ""
    later, first = order.db.reading(campaigns.waiting, campaign_id, moment)
    if first is not None and later == progress.recipients - progress.settled:
        return (
            f"{later:,} texts wait for the end of quiet hours; the first may leave at {first:%Y-%m-%d %H:%M} UTC."
        )
    if not order.db.reading(_somebody_works, moment - GRACES * timedelta(seconds=order.settings.worker_grace)):
        return "No worker is running. The texts leave as soon as one is: optout worker"
    return None


def _somebody_works(connection: Connection, since: datetime) -> bool:
    return bool(connection.execute(select(func.count()).where(workers.c.beat_at > since)).scalar_one())


def _summary(order: Order, campaign_id: int, counted: Counter[str]) -> None:
    progress = order.db.reading(campaigns.progress, campaign_id)
    states = Counter(progress.by_state)
    later, _ = order.db.reading(campaigns.waiting, campaign_id, now())
    open_yet = progress.recipients - progress.settled - later
    facts = [
        ("campaign", campaign_id),
        ("sent", sum(states[state] for state in HANDED_OVER)),
        ("delivered", states[State.DELIVERED]),
        ("skipped as out", progress.skipped_out + states[State.SUPPRESSED]),
        ("held", states[State.HELD] + later),
        ("failed", states[State.FAILED] + states[State.UNDELIVERED]),
        ("not yet sent", open_yet),
        ("bad rows", counted["bad"]),
        ("duplicates", counted["duplicates"]),
        ("segments", progress.segments),
    ]
    show_facts((name, f"{value:,}") for name, value in facts)
