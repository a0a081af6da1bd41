"""What all commands share: settings, the database, tables on the screen, one sentence for what went wrong."""

import getpass
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway import phone
from gateway.db import Database
from gateway.errors import BadInput, GatewayError
from gateway.settings import Settings, load

screen = Console()
notes = Console(stderr=True)

MOST_ACTOR = 80


class Failed(GatewayError):
    """A command could not do what it was asked for."""


def settings() -> Settings:
    """The settings from the environment. Raises Failed that names the variables, never their values."""
    try:
        return load()
    except ValidationError as error:
        wrong = (f"{'.'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors(include_input=False))
        raise Failed(f"Settings are wrong. {'; '.join(wrong)}") from None
    except OSError as error:
        raise Failed(f"A settings file cannot be read: {error.strerror}") from None


@contextmanager
def opened(*, with_jobs: bool = False) -> Iterator[tuple[Settings, Database]]:
    """Settings and a database at the newest schema; the embedded one is brought there if need be.

    `with_jobs` lets changes start jobs at once; without, a worker finds the work within a second or so.
    """
    found = settings()
    db = database(found)
    try:
        _check_schema(found, db)
        if with_jobs:
            from gateway.jobs import Starter

            db.writer.start_job = Starter(found)
        yield found, db
    finally:
        db.close()


def database(found: Settings) -> Database:
    try:
        return Database(found)
    except ModuleNotFoundError:
        raise Failed("PostgreSQL needs its driver: pip install 'sms-optout-gateway[postgres]'") from None


def _check_schema(found: Settings, db: Database) -> None:
    from gateway.migrations import schema_of

    schema = db.reading(schema_of)
    if schema.current == schema.needed:
        return
    if not found.is_sqlite:
        raise Failed("The database has not the newest schema. Run: optout migrate")
    from gateway.jobs import migrate

    migrate(found)


def now() -> datetime:
    return datetime.now(UTC)


def actor() -> str:
    """Who is at the command line, for the audit log."""
    try:
        return f"cli:{getpass.getuser()}"[:MOST_ACTOR]
    except (OSError, KeyError):
        # A container may run under a user id without a name.
        return "cli"


def moment(text: str | None, option: str) -> datetime | None:
    """An ISO 8601 moment; without a zone it is UTC. Raises typer.BadParameter."""
    if text is None:
        return None
    try:
        told = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{option} takes a moment such as 2026-11-23T14:00+01:00") from None
    return told if told.tzinfo else told.replace(tzinfo=UTC)


def number_of(text: str) -> str:
    """E.164. Raises BadInput."""
    try:
        return phone.parse(text)
    except phone.BadNumber as error:
        raise BadInput(f"The number cannot be read: {error.reason}.") from None


def show_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str | None = None) -> None:
    """Prints a table; what the cells hold is never taken for markup."""
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    screen.print(table)


def show_facts(facts: Iterable[tuple[str, Any]]) -> None:
    """Prints names and values in two columns."""
    table = Table(box=None, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts:
        table.add_row(Text(name), Text("-" if value is None else str(value)))
    screen.print(table)
