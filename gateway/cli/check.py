"""`optout check`: is everything set up? What is missing is named, and what to tell Twilio is printed."""

import re
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import urlsplit

import typer
from rich.text import Text
from sqlalchemy import make_url

from gateway.cli.common import Failed, database, screen, settings
from gateway.errors import DatabaseAway
from gateway.migrations import Schema, schema_of
from gateway.settings import Settings

# Three retries on timeouts and 5xx too, where Twilio's default is one and on connection failures only.
# https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides
RETRIES = "#rc=3&rp=ct,rt,5xx"
_ACCOUNT_SID = re.compile(r"AC[0-9a-f]{32}")
_AUTH_TOKEN = re.compile(r"[0-9a-f]{32}")
_MARKS = {True: ("ok     ", "green"), None: ("warning", "yellow"), False: ("wrong  ", "red")}


class Check(NamedTuple):
    """One finding: fine (True), worth knowing (None) or wrong (False)."""

    name: str
    verdict: bool | None
    told: str


def register(app: typer.Typer) -> None:
    app.command()(check)


def check() -> None:
    """Check database, schema, secrets, addresses and Twilio's credentials; print the webhook's address.

    Exit code 1 when something is wrong. Nothing is changed and nobody is called.

    Example:

      optout check
    """
    found = settings()
    checks = [*_of_database(found), *_of_settings(found)]
    for one in checks:
        mark, colour = _MARKS[one.verdict]
        screen.print(Text(mark, style=colour), Text(f"{one.name}: {one.told}"), soft_wrap=True)
    screen.print("\nAt Twilio, as each number's webhook for incoming messages (HTTP POST):")
    typer.echo(f"  {webhook(found)}")
    if any(one.verdict is False for one in checks):
        raise typer.Exit(1)


def webhook(found: Settings) -> str:
    """The address Twilio sends incoming texts to, with how it should try again."""
    return f"{found.public_url}/twilio/inbound{RETRIES}"


def _of_database(found: Settings) -> Iterator[Check]:
    name = make_url(found.database_url).render_as_string(hide_password=True)
    try:
        db = database(found)
        try:
            schema = db.reading(schema_of)
        finally:
            db.close()
    except (DatabaseAway, Failed) as error:
        yield Check("DATABASE_URL", False, f"{name}: {error.message}")
        return
    yield Check("DATABASE_URL", True, name)
    yield _of_schema(schema, found)


def _of_schema(schema: Schema, found: Settings) -> Check:
    if schema.current == schema.needed:
        return Check("schema", True, f"revision {schema.current}")
    told = f"revision {schema.current or 'none'}, needed is {schema.needed}. Run: optout migrate"
    # `optout serve` brings the embedded database there by itself.
    return Check("schema", None if found.is_sqlite else False, told)


def _of_settings(found: Settings) -> Iterator[Check]:
    if "secret_key" in found.model_fields_set:
        yield Check("SECRET_KEY", True, "set")
    else:
        yield Check("SECRET_KEY", False, "not set: every restart logs everybody out. Any 32 random characters do")
    yield _of_address("PUBLIC_URL", found.public_url)
    if found.link_url:
        yield _of_address("LINK_URL", found.link_url)
    yield from _of_twilio(found)


def _of_address(name: str, url: str) -> Check:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        return Check(name, False, "is no address such as https://optout.example.com")
    if parts.hostname == "localhost" or parts.hostname.startswith("127."):
        return Check(name, None, f"{url}: only this machine can reach it, Twilio and recipients cannot")
    if parts.scheme != "https":
        return Check(name, False, f"{url}: without https links and signatures can be read and changed on the way")
    return Check(name, True, url)


def _of_twilio(found: Settings) -> Iterator[Check]:
    if found.twilio_api_url:
        yield Check("TWILIO_API_URL", None, f"{found.twilio_api_url}: texts do not go to Twilio itself")
    yield _of_credential(
        "TWILIO_ACCOUNT_SID", [found.twilio_account_sid] if found.twilio_account_sid else [], _ACCOUNT_SID
    )
    yield _of_credential("TWILIO_AUTH_TOKEN", found.auth_tokens, _AUTH_TOKEN)


def _of_credential(name: str, values: list[str], shape: re.Pattern[str]) -> Check:
    if not values:
        return Check(name, False, "not set; see https://console.twilio.com")
    if not all(shape.fullmatch(value) for value in values):
        return Check(name, False, f"has not the shape of one ({shape.pattern})")
    return Check(name, True, "set" if len(values) == 1 else f"{len(values)} tokens, the first one sends")
