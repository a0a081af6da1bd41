"""Commands over lists: opt-outs in and out, the audit log out."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TextIO

import typer

from gateway import audit, contacts, external, programs
from gateway.cli.bad_rows import BadRows
from gateway.cli.common import Failed, actor, moment, notes, now, number_of, opened, screen, show_table

opt_outs_app = typer.Typer(help="Opt-outs: lists in and out.", no_args_is_help=True)
audit_app = typer.Typer(help="The audit log.", no_args_is_help=True)

BATCH = 500

InFile = Annotated[
    Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="CSV or one number a line")
]
OutFile = Annotated[
    Path | None, typer.Option("--out", dir_okay=False, writable=True, help="File; default the screen")
]


class Format(StrEnum):
    """How the audit log is written."""

    CSV = "csv"
    JSONL = "jsonl"


@opt_outs_app.command("import")
def import_opt_outs(
    file: InFile,
    source_note: Annotated[str, typer.Option(help="Where the list comes from; kept with every opt-out")],
    program: Annotated[str | None, typer.Option(help="The program it was about; default all marketing")] = None,
    errors: Annotated[Path | None, typer.Option(help="Write the bad rows to this file")] = None,
) -> None:
    """Take everybody in a list out. An import only ever takes out: nobody is opened again by it.

    Examples:

      optout opt-outs import old-crm.csv --source-note "export of the old CRM"
      optout opt-outs import list.txt --source-note "letters, October" --program Acme --errors bad.csv
    """
    with opened() as (_, db), BadRows(errors) as bad, contacts.open_text(file) as stream:
        chosen = db.reading(programs.by_name, program) if program else None
        added = before = 0
        for lines in _groups(contacts.read(stream, chosen.default_country if chosen else None)):
            bad.take(line for line in lines if line.number is None)
            imported = db.writer.run(
                external.import_lines,
                lines,
                file=file.name,
                source_note=source_note,
                program_id=chosen.id if chosen else None,
                actor=actor(),
                now=now(),
            )
            added, before = added + imported.added, before + imported.already_out
    screen.print(f"{added:,} newly out, {before:,} were out before, {bad.count:,} bad rows.")
    if bad.count:
        raise Failed("The people in the bad rows can still be texted: mend those rows and import them again.")


@opt_outs_app.command("export")
def export_opt_outs(
    out: OutFile = None,
    everything: Annotated[bool, typer.Option("--all", help="Lifted opt-outs too")] = False,
) -> None:
    """Write who is out as CSV, with scope, since, source and rule.

    Example:

      optout opt-outs export --out opt-outs.csv
    """
    with opened() as (_, db), _writing(out) as stream:
        count = db.reading(external.export, stream, lifted_too=everything)
    notes.print(f"{count:,} opt-outs.")


@opt_outs_app.command("list")
def list_opt_outs(number: Annotated[str, typer.Argument(help="A number with country code (+49…)")]) -> None:
    """Show every opt-out of one number, lifted ones too.

    Example:

      optout opt-outs list +4915123456789
    """
    with opened() as (_, db):
        rows = db.reading(external.of_number, number_of(number))
    show_table(
        ["id", "scope", "program", "since (UTC)", "source", "cause", "rule", "lifted"],
        [
            (row.id, row.scope.value, row.program_id, _short(row.since), row.source.value, row.cause, row.rule,
             _short(row.lifted_at))
            for row in rows
        ],
    )  # fmt: skip
    is_out = any(row.lifted_at is None for row in rows)
    screen.print("She is out." if is_out else "She is not out.")


@audit_app.command("export")
def export_audit(
    format: Annotated[Format, typer.Option(help="csv or jsonl (JSON lines)")] = Format.CSV,
    number: Annotated[str | None, typer.Option(help="Events of this number only")] = None,
    since: Annotated[str | None, typer.Option(help="From this moment on (ISO 8601)")] = None,
    until: Annotated[str | None, typer.Option(help="Before this moment (ISO 8601)")] = None,
    out: OutFile = None,
) -> None:
    """Write the audit log: what happened, when, to whom, by whom, why.

    Examples:

      optout audit export --format jsonl --out log.jsonl
      optout audit export --number +4915123456789 --since 2026-01-01
    """
    first, last = moment(since, "--since"), moment(until, "--until")
    write = audit.export_csv if format is Format.CSV else audit.export_jsonl
    whose = number_of(number) if number else None
    with opened() as (_, db), _writing(out) as stream:
        count = db.reading(lambda c: write(audit.read(c, number=whose, since=first, until=last), stream))
    notes.print(f"{count:,} events.")


def _short(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}" if moment else ""


@contextmanager
def _writing(out: Path | None) -> Iterator[TextIO]:
    if out is None:
        yield sys.stdout
        return
    with out.open("w", encoding="utf-8", newline="") as stream:
        yield stream


def _groups(lines: Iterator[contacts.Line]) -> Iterator[list[contacts.Line]]:
    group: list[contacts.Line] = []
    for line in lines:
        group.append(line)
        if len(group) == BATCH:
            yield group
            group = []
    if group:
        yield group
