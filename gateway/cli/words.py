"""Commands that explain: what a reply means, what the law says for a number."""

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer

import keywords
from gateway import phone, regions
from gateway.cli.common import moment, now, number_of, show_facts
from gateway.regions import Rules
from gateway.regions.windows import DAYS

regions_app = typer.Typer(help="The law as the gateway reads it.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    app.command()(classify)


def classify(
    text: Annotated[str, typer.Argument(help="The reply, in quotes")],
    country: Annotated[str | None, typer.Option(help="Where the recipient is (ISO, such as DE)")] = None,
    language: Annotated[list[str] | None, typer.Option(help="A language of the program; may be repeated")] = None,
    advertised: Annotated[
        list[str] | None, typer.Option(help="A word your texts tell people to reply; may be repeated")
    ] = None,
) -> None:
    """Say what a reply would be understood to mean. Nothing is stored.

    Examples:

      optout classify "stpo!!"
      optout classify "ENDE" --country DE --language de
    """
    reading = keywords.classify(
        text, country=country, languages=tuple(language or ()), advertised=tuple(advertised or ())
    )
    decided = text[slice(*reading.span)] if reading.span else None
    show_facts(
        [
            ("intent", reading.intent.value),
            ("certainty", reading.certainty.value),
            ("scope", reading.scope or "the region's default"),
            ("language", reading.language),
            ("rule", reading.rule),
            ("decided by", decided),
            ("normalised", reading.normalised),
            ("vocabulary", keywords.vocabulary_version),
        ]
    )


@regions_app.command("show")
def show(
    number: Annotated[str, typer.Argument(help="A number with country code (+49…)")],
    at: Annotated[str | None, typer.Option(help="A moment (ISO 8601; UTC without a zone); default now")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON")] = False,
) -> None:
    """Show which rules hold for the owner of a number, when she may be written to, and why.

    Examples:

      optout regions show +12125550123
      optout regions show +12125550123 --at 2026-11-23T03:00-05:00 --json
    """
    instant = moment(at, "--at") or now()
    place = phone.place_of(number_of(number))
    rules = regions.rules_at(place, instant)
    facts = _facts(place, rules) | {"next allowed": _next(rules, place, instant)}
    if as_json:
        typer.echo(json.dumps(facts, ensure_ascii=False, indent=2))
    else:
        show_facts((name, _in_words(value)) for name, value in facts.items())


def _facts(place: phone.Place, rules: Rules) -> dict[str, Any]:
    told = {
        "country": place.country,
        "subdivision": place.subdivision,
        "time zones": sorted(place.time_zones),
        "toll-free": place.toll_free,
    }
    law = {name.replace("_", " "): value for name, value in asdict(rules).items() if name != "window"}
    hours = {day: _span(*span) for day, span in zip(DAYS, rules.window.days, strict=True)}
    honour = [f"{limit.within} {limit.unit}" if limit.within else limit.unit for limit in rules.honour]
    law["honour"] = honour
    return told | law | {"hours": hours}


def _span(start: int, end: int) -> str:
    return f"{start // 60:02}:{start % 60:02}-{end // 60:02}:{end % 60:02}" if end > start else "closed"


def _next(rules: Rules, place: phone.Place, instant: Any) -> str | None:
    allowed = regions.next_allowed(rules, place.time_zones, instant)
    return allowed.isoformat() if allowed else None


def _in_words(value: Any) -> str | None:
    if isinstance(value, dict):
        return "\n".join(f"{name}: {_in_words(part)}" for name, part in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return None if value is None else str(value)
