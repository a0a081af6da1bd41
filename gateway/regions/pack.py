"""Loads the rule pack (`format` says what stands in it), refusing the incomplete and the contradictory."""

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable

from gateway.regions.format import CHOICES, LAYERS, PackError, Statement, read_block

FALLBACK = "ZZ"
GROUPS = ("us", "ca", "uk", "eu", "eea", "ch", "other", "fallback")
REQUIRED = (*CHOICES, "honour", "keywords", "languages")
_HEAD = {"name", "group", "inherits", "review_by", "rule"}


@dataclass(frozen=True, slots=True)
class Country:
    """Head of a file; `rows` are the subdivisions it states something about."""

    name: str
    group: str
    inherits: str
    review_by: date
    rows: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Pack:
    """All countries and statements, and a version that changes with any byte of the data files."""

    version: str
    countries: Mapping[str, Country]
    statements: tuple[Statement, ...]
    _by_row: dict[tuple[str, str], list[Statement]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for statement in self.statements:
            self._by_row.setdefault((statement.row, statement.key), []).append(statement)

    def stated(self, row: str, key: str, day: date) -> list[Statement]:
        """What a row states about a key on a day: at most one statement per layer, law first."""
        held = [s for s in self._by_row.get((row, key), ()) if s.holds_on(day)]
        return sorted(held, key=lambda s: LAYERS.index(s.layer))


@cache
def packaged() -> Pack:
    """The pack this version ships."""
    return load(resources.files("gateway.regions").joinpath("data"))


def load(directory: Traversable) -> Pack:
    """Reads every `XX.toml` of a directory. Raises PackError."""
    files = sorted((f for f in directory.iterdir() if f.name.endswith(".toml")), key=lambda f: f.name)
    digest = hashlib.sha256()
    countries: dict[str, Country] = {}
    statements: list[Statement] = []
    for file in files:
        raw = file.read_bytes()
        digest.update(file.name.encode() + b"\0" + raw + b"\0")
        countries[file.name[:-5]], found = _read(file.name, raw)
        statements += found
    _check_families(countries)
    _check_overlaps(statements)
    _check_fallback(statements)
    return Pack(digest.hexdigest()[:12], countries, tuple(statements))


def _read(file: str, raw: bytes) -> tuple[Country, list[Statement]]:
    try:
        content = tomllib.loads(raw.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PackError(file, "-", "-", f"not TOML: {error}") from None
    for key in sorted(_HEAD ^ set(content)):
        raise PackError(file, "-", key, "missing" if key in _HEAD else "unknown key")
    if content["group"] not in GROUPS:
        raise PackError(file, "-", "group", f"not one of {', '.join(GROUPS)}")
    if type(content["review_by"]) is not date:
        raise PackError(file, "-", "review_by", "not a date")
    statements = [s for block in content["rule"] for s in read_block(file, block)]
    rows = dict.fromkeys(s.row for s in statements if "-" in s.row)
    head = (content["name"], content["group"], content["inherits"], content["review_by"])
    return Country(*head, rows=tuple(rows)), statements


def _check_families(countries: Mapping[str, Country]) -> None:
    for code, country in countries.items():
        seen = [code]
        while seen[-1] != FALLBACK:
            parent = countries[seen[-1]].inherits
            if parent not in countries or parent in seen:
                raise PackError(f"{code}.toml", code, "inherits", f"{parent!r} leads nowhere")
            seen.append(parent)
        if code == FALLBACK and country.inherits != "none":
            raise PackError(f"{code}.toml", code, "inherits", 'is "none" in the fallback')


def _check_overlaps(statements: list[Statement]) -> None:
    last: dict[tuple[str, str, str], Statement] = {}
    for statement in sorted(statements, key=lambda s: s.valid_from):
        place = (statement.row, statement.layer, statement.key)
        if place in last and last[place].valid_to > statement.valid_from:
            raise PackError(_file(statement.row), statement.row, statement.key, "two values on the same day")
        last[place] = statement


def _check_fallback(statements: list[Statement]) -> None:
    always = {
        s.key for s in statements if s.row == FALLBACK and (s.valid_from, s.valid_to) == (date.min, date.max)
    }
    for key in REQUIRED:
        if key not in always:
            raise PackError(_file(FALLBACK), FALLBACK, key, "missing: every place falls back on it")


def _file(row: str) -> str:
    return f"{row[:2]}.toml"
