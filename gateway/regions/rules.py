"""What the law says for a person: every row that may concern her, merged so that the strictest wins."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any

from gateway.phone import UNKNOWN_COUNTRY, Place, zones_of_country
from gateway.regions.format import CHOICES, CONFIDENCES, Limit, Statement
from gateway.regions.pack import FALLBACK, Pack, packaged
from gateway.regions.windows import ALWAYS, Window, intersect, next_open

UNLISTED = "ZZ-UN"
"""The row of a country that has no file."""

# A business day is at most 1.4 calendar days on average, which ranks "10 business_days" before "15 days".
_DAYS_PER_UNIT = {"immediate": 0.0, "days": 1.0, "business_days": 1.4}
_Key = frozenset[tuple[str, str | None]]
_ANYWHERE: _Key = frozenset({(UNKNOWN_COUNTRY, None)})
# "UK" is what people write; ISO 3166-1 reserves it for GB.
_ALIASES = {"UK": "GB"}
_LAST_DAY = date.max - timedelta(days=1)


class RegionRefusal(ValueError):
    """Something the law of a place forbids; `reason` is fit for the marketer."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Rules:
    """The merged rules of one or more places on one day. Values as in `format`.

    `rows` are the rows asked and `countries` their ISO codes. `honour` holds every ceiling that applies,
    the one that usually ends first in front. `double_opt_out` is "no" or "offer_after", with the legal
    reason in `reason_no_double_opt_out`. `explain` maps each value to the rows it came from, `confidence`
    to the weakest evidence among them. `pack_version` names the data files that were read.
    """

    rows: tuple[str, ...]
    countries: tuple[str, ...]
    honour: tuple[Limit, ...]
    confirmation: str
    confirmation_within_minutes: int | None
    double_opt_out: str
    reason_no_double_opt_out: str | None
    default_scope: str
    keywords: tuple[str, ...]
    languages: tuple[str, ...]
    two_way_sms: str
    window: Window
    labels: tuple[str, ...]
    retention_years: int | None
    legal_basis: tuple[str, ...]
    pack_version: str
    explain: Mapping[str, tuple[str, ...]]
    confidence: Mapping[str, str]


def rules_at(places: Place | Iterable[Place], instant: datetime) -> Rules:
    """The rules for a person who may be in each of `places`, on the UTC day of an aware `instant`.

    Intersection of windows, earliest deadline, widest default scope, union of labels, keywords and
    languages. A country without its subdivision may be any of them, and an unknown country any country,
    so that losing information never loosens a rule. Rules change at 00:00 UTC of their date.
    """
    if instant.tzinfo is None:
        raise ValueError("rules_at needs an aware instant")
    wanted = (places,) if isinstance(places, Place) else places
    key = frozenset((place.country, place.subdivision) for place in wanted)
    return _rules(packaged(), key or _ANYWHERE, instant.astimezone(UTC).date())


def next_allowed(rules: Rules, time_zones: Iterable[str], instant: datetime) -> datetime | None:
    """Earliest aware UTC datetime, not before `instant`, at which a marketing text may be sent.

    The window has to be open in all of `time_zones` at once. Without any, all zones of the rules'
    countries count. None means never: no such moment in the week, or hours are limited and nobody
    can tell what time it is there; marketing is then refused. Ask again at the moment of sending: a
    clock change or a newer rule may lie between. Public holidays (`rules.window.holidays`) are data
    only here, their calendars are no part of this package.
    """
    zones = frozenset(time_zones) or frozenset().union(*map(zones_of_country, rules.countries))
    return next_open(rules.window, zones, instant)


def check_double_opt_out(country: str) -> None:
    """Raises RegionRefusal where the newest rules of an ISO 3166-1 country forbid a double opt-out.

    Elsewhere it may only be an offer after the opt-out has taken effect.
    """
    code = _ALIASES.get(country.upper(), country.upper())
    if not re.fullmatch("[A-Z]{2}", code):
        raise RegionRefusal(f"{country!r} is no country code (two letters, ISO 3166-1)")
    rules = _rules(packaged(), frozenset({(code, None)}), _LAST_DAY)
    if rules.double_opt_out == "no":
        raise RegionRefusal(f"{code}: double opt-out is not lawful. {rules.reason_no_double_opt_out}")


@lru_cache(maxsize=4096)
def _rules(pack: Pack, places: _Key, day: date) -> Rules:
    chains = [chain for place in _sorted(places) for chain in _chains(pack, *place)]
    found = {key: _stated(pack, chains, key, day) for key in _MERGES}
    # `.get` below: an optional value that no row states has no entry.
    merged = {key: _MERGES[key](key, statements) for key, statements in found.items() if statements}
    values = {key: value for key, (value, _) in merged.items()}
    used = {key: statements for key, (_, statements) in merged.items()}
    return Rules(
        rows=tuple(dict.fromkeys(chain[0] for chain in chains)),
        countries=tuple(dict.fromkeys(country for country, _ in _sorted(places))),
        honour=values["honour"],
        confirmation=values["confirmation"],
        confirmation_within_minutes=values.get("confirmation_within_minutes"),
        double_opt_out=values["double_opt_out"],
        reason_no_double_opt_out=values.get("reason_no_double_opt_out"),
        default_scope=values["default_scope"],
        keywords=values["keywords"],
        languages=values["languages"],
        two_way_sms=values["two_way_sms"],
        window=values.get("window", ALWAYS),
        labels=values.get("label", ()),
        retention_years=values.get("retention_years"),
        legal_basis=_distinct(s.legal_basis for statements in used.values() for s in statements),
        pack_version=pack.version,
        explain={key: _distinct(s.row for s in statements) for key, statements in used.items()},
        confidence={
            key: max((s.confidence for s in statements), key=CONFIDENCES.index) for key, statements in used.items()
        },
    )


def _sorted(places: _Key) -> list[tuple[str, str | None]]:
    return sorted(places, key=lambda place: (place[0], place[1] or ""))


def _chains(pack: Pack, country: str, subdivision: str | None) -> list[tuple[str, ...]]:
    """The rows that may concern a place: one chain per possible subdivision, narrow before wide."""
    if country not in pack.countries:
        return [(UNLISTED,)]
    base = [country]
    while base[-1] != FALLBACK and (parent := pack.countries[base[-1]].inherits) != FALLBACK:
        base.append(parent)
    if subdivision is not None:
        return [(subdivision, *base)]
    return [tuple(base), *((row, *base) for row in pack.countries[country].rows)]


def _stated(pack: Pack, chains: list[tuple[str, ...]], key: str, day: date) -> list[Statement]:
    found = (statement for chain in chains for statement in _of_chain(pack, chain, key, day))
    return list(dict.fromkeys(found))


def _of_chain(pack: Pack, chain: tuple[str, ...], key: str, day: date) -> list[Statement]:
    """Per layer the narrowest row that states the key; the fallback only when no row states it at all."""
    by_layer: dict[str, Statement] = {}
    for row in chain:
        for statement in pack.stated(row, key, day):
            by_layer.setdefault(statement.layer, statement)
    return list(by_layer.values()) or pack.stated(FALLBACK, key, day)


_Merged = tuple[Any, list[Statement]]
"""A merged value and the statements it came from."""


def _strictest(key: str, statements: list[Statement]) -> _Merged:
    return _picked(max((s.value for s in statements), key=CHOICES[key].index), statements)


def _least(_: str, statements: list[Statement]) -> _Merged:
    return _picked(min(s.value for s in statements), statements)


def _most(_: str, statements: list[Statement]) -> _Merged:
    return _picked(max(s.value for s in statements), statements)


def _picked(value: Any, statements: list[Statement]) -> _Merged:
    return value, [s for s in statements if s.value == value]


def _union(_: str, statements: list[Statement]) -> _Merged:
    return _distinct(value for s in statements for value in s.value), statements


def _listed(_: str, statements: list[Statement]) -> _Merged:
    return _distinct(s.value for s in statements), statements


def _joined(_: str, statements: list[Statement]) -> _Merged:
    return "; ".join(_distinct(s.value for s in statements)), statements


def _common_window(_: str, statements: list[Statement]) -> _Merged:
    return intersect(s.value for s in statements), statements


def _deadlines(_: str, statements: list[Statement]) -> _Merged:
    """Of each unit the smallest number: which unit ends first depends on the calendar."""
    smallest: dict[str, Limit] = {}
    for limit in sorted(limit for s in statements for limit in s.value):
        smallest.setdefault(limit.unit, limit)
    kept = tuple(sorted(smallest.values(), key=lambda limit: limit.within * _DAYS_PER_UNIT[limit.unit]))
    return kept, [s for s in statements if set(s.value) & set(kept)]


_MERGES = {
    **dict.fromkeys(CHOICES, _strictest),
    "honour": _deadlines,
    "confirmation_within_minutes": _least,
    "reason_no_double_opt_out": _joined,
    "keywords": _union,
    "languages": _union,
    "window": _common_window,
    "label": _listed,
    "retention_years": _most,
}


def _distinct(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))
