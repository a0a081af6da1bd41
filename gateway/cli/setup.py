"""Commands that set things up: keys, programs, senders."""

from typing import Annotated

import typer

from gateway import keys, programs
from gateway.cli.common import actor, now, opened, screen, show_table
from gateway.models import Answers, Role

keys_app = typer.Typer(help="API keys: made and revoked.", no_args_is_help=True)
programs_app = typer.Typer(help="Programs: the brands and lists recipients know by name.", no_args_is_help=True)
senders_app = typer.Typer(help="Senders: the numbers and names texts come from.", no_args_is_help=True)


@keys_app.command("create")
def create_key(
    name: Annotated[str, typer.Argument(help="Who or what the key is for")],
    role: Annotated[Role, typer.Option(help="marketer sends, auditor reads the log, admin does everything")],
) -> None:
    """Make an API key. It is shown once and stored as a hash only.

    Example:

      optout keys create "CRM" --role marketer
    """
    with opened() as (_, db):
        typer.echo(db.writer.run(keys.create, name, role, now()))


@keys_app.command("revoke")
def revoke_key(name_or_id: Annotated[str, typer.Argument(help="The key's name or id")]) -> None:
    """End a key at once, and the console sessions opened with it.

    Example:

      optout keys revoke "CRM"
    """
    with opened() as (_, db):
        count = db.writer.run(keys.revoke, name_or_id, now())
    screen.print(f"{count} key{'s' if count > 1 else ''} revoked.")


@programs_app.command("create")
def create_program(
    name: Annotated[str, typer.Option(help="The name recipients know; it stands in every confirmation")],
    contact: Annotated[str, typer.Option(help="Phone, e-mail or address for help texts")],
    language: Annotated[str, typer.Option(help="Language of automatic texts: en, de, fr, es")] = "en",
    default_country: Annotated[str, typer.Option(help="Whose national numbers your files hold (ISO)")] = "US",
    advertised: Annotated[str, typer.Option(help="Further words your texts tell people to reply")] = "",
    offer_countries: Annotated[
        str, typer.Option(help="Countries where a double opt-out is asked for; refused where unlawful")
    ] = "",
) -> None:
    """Add a program.

    Example:

      optout programs create --name "Acme" --contact "help@acme.example" --language de --default-country DE
    """
    with opened() as (_, db):
        program_id = db.writer.run(
            programs.create,
            name=name,
            contact=contact,
            language=language,
            default_country=default_country,
            advertised=advertised,
            offer_countries=offer_countries,
            actor=actor(),
            now=now(),
        )
    screen.print(f"Program {program_id} created.")


@programs_app.command("list")
def list_programs() -> None:
    """List the programs."""
    with opened() as (_, db):
        rows = db.reading(programs.listing)
    show_table(
        ["id", "name", "contact", "language", "country"],
        [(row.id, row.name, row.contact, row.language, row.default_country) for row in rows],
    )


@senders_app.command("create")
def create_sender(
    program: Annotated[str, typer.Option(help="The program's name")],
    address: Annotated[str, typer.Option(help="+49…, a short code, or a name of at most 11 letters and digits")],
    messaging_service_sid: Annotated[str | None, typer.Option(help="Twilio messaging service (MG…)")] = None,
    answers: Annotated[Answers | None, typer.Option(help="Who answers STOP here; default by kind")] = None,
    can_receive: Annotated[
        bool | None, typer.Option("--can-receive/--cannot-receive", help="Do replies arrive? Default by kind")
    ] = None,
    rate: Annotated[
        float | None, typer.Option(help="Segments a second; default as fast as Twilio takes them")
    ] = None,
) -> None:
    """Add a sender to a program.

    Examples:

      optout senders create --program Acme --address +4915735980000
      optout senders create --program Acme --address 12345 --answers twilio --rate 100
    """
    with opened() as (_, db):
        sender_id = db.writer.run(
            programs.create_sender,
            program_id=db.reading(programs.by_name, program).id,
            address=address,
            messaging_service_sid=messaging_service_sid,
            answers=answers,
            can_receive=can_receive,
            rate=rate,
            actor=actor(),
            now=now(),
        )
    screen.print(f"Sender {sender_id} created.")


@senders_app.command("list")
def list_senders() -> None:
    """List the senders of all programs."""
    with opened() as (_, db):
        rows = db.reading(programs.senders)
    show_table(
        ["id", "program", "address", "answers", "receives", "segments/s"],
        [
            (row.id, row.program, row.address, row.answers.value, "yes" if row.can_receive else "no", row.rate)
            for row in rows
        ],
    )
