"""The format of the rule pack, and the reading of one block of it.

One TOML file per country, `data/XX.toml` (ISO 3166-1), with the rows of its subdivisions (ISO 3166-2).
Besides countries there are `EU` (the frame its members and the EEA inherit) and `ZZ` (what nothing states;
its row `ZZ-UN` is a country without a file, `ZZ-ZZ` a number whose country is not known).

Head of a file
    name        plain English
    group       us | ca | uk | eu | eea | ch | other | fallback
    inherits    the file that stands in for what this one does not state: "ZZ", "EU", "US" …; "none" in ZZ
    review_by   date after which somebody has to read the sources again

`[[rule]]` blocks, each stating one or more values of one row, with where they come from
    row         "US" or "US-FL"; a subdivision overrides only what it states
    layer       law | carrier | product. Law and carrier rules hold side by side, the stricter wins;
                product is our own default
    legal_basis the provision; source: list of addresses or works; read_on: date of reading
    valid_from, valid_to   dates (from included, to not, both at 00:00 UTC) or "open"
    confidence  read | partly | recalled. Recalled values are no law until somebody finds the source

Values
    honour      list of ceilings: "immediate", "15 days", "10 business_days". The earliest counts. Only for
                reports and alarms: the product acts at once
    confirmation                required | allowed | forbidden | unknown (not regulated)
    confirmation_within_minutes integer; a later confirmation is not sent
    double_opt_out              no | offer_after (a question after the opt-out took effect, never a condition)
    reason_no_double_opt_out    required with "no"
    default_scope               program | marketing | all, when the person's words do not say
    keywords, languages         lists; languages as BCP 47, the likeliest first
    two_way_sms                 yes | limited | no | unknown: whether a reply can reach us
    quiet_start, quiet_end, quiet_days   see `windows.window`
    label                       what the text has to carry
    retention_years             how long evidence must be kept
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

from gateway.regions import windows

LAYERS = ("law", "carrier", "product")
CONFIDENCES = ("read", "partly", "recalled")
_META = ("row", "layer", "legal_basis", "source", "valid_from", "valid_to", "read_on", "confidence")
_WINDOW = ("quiet_start", "quiet_end", "quiet_days")
# Choices from the loosest to the strictest: merging takes the last one.
CHOICES = {
    "confirmation": ("unknown", "allowed", "required", "forbidden"),
    "double_opt_out": ("offer_after", "no"),
    "default_scope": ("program", "marketing", "all"),
    "two_way_sms": ("yes", "unknown", "limited", "no"),
}


class PackError(ValueError):
    """A rule pack that must not be used; names file, row and key."""

    def __init__(self, file: str, row: str, key: str, problem: str) -> None:
        super().__init__(f"{file}, row {row}, key {key}: {problem}")


class Limit(NamedTuple):
    """A legal ceiling for honouring an opt-out; `unit` is immediate, days or business_days."""

    within: int
    unit: str


@dataclass(frozen=True, slots=True)
class Statement:
    """One value of one row, with the days it is valid on (`valid_to` not included) and its evidence."""

    row: str
    layer: str
    key: str
    value: Any
    legal_basis: str
    source: tuple[str, ...]
    valid_from: date
    valid_to: date
    read_on: date
    confidence: str

    def holds_on(self, day: date) -> bool:
        return self.valid_from <= day < self.valid_to


def read_block(file: str, block: dict[str, Any]) -> list[Statement]:
    """The statements of one `[[rule]]` block, one per value."""
    row = str(block.get("row", "-"))
    _check_meta(file, row, block)
    values = {key: value for key, value in block.items() if key not in _META}
    if not values:
        raise PackError(file, row, "-", "states no value")
    _check_partners(file, row, values)
    if "quiet_start" in values:
        values["window"] = {key: values.pop(key) for key in _WINDOW if key in values}
    evidence = (block["legal_basis"], tuple(block["source"]), *_validity(file, row, block))
    return [
        Statement(
            row,
            block["layer"],
            key,
            _value(file, row, key, value),
            *evidence,
            block["read_on"],
            block["confidence"],
        )
        for key, value in values.items()
    ]


def _check_meta(file: str, row: str, block: dict[str, Any]) -> None:
    for key in _META:
        if key not in block or block[key] in ("", []):
            raise PackError(file, row, key, "missing")
    if not re.fullmatch(rf"{re.escape(file[:-5])}(-[A-Z0-9]{{1,3}})?", row):
        raise PackError(file, row, "row", "does not belong into this file")
    for key, allowed in (("layer", LAYERS), ("confidence", CONFIDENCES)):
        if block[key] not in allowed:
            raise PackError(file, row, key, f"{block[key]!r} is not one of {', '.join(allowed)}")
    if type(block["read_on"]) is not date:
        raise PackError(file, row, "read_on", "not a date")
    if not _is_text_list(block["source"]):
        raise PackError(file, row, "source", "not a list of texts")


def _check_partners(file: str, row: str, values: dict[str, Any]) -> None:
    """Values that mean nothing, or the opposite, without each other."""
    if ("quiet_start" in values) != ("quiet_end" in values):
        raise PackError(file, row, "quiet_end", "quiet_start and quiet_end go together")
    if "quiet_days" in values and "quiet_start" not in values:
        raise PackError(file, row, "quiet_days", "without quiet_start")
    if (values.get("double_opt_out") == "no") != ("reason_no_double_opt_out" in values):
        raise PackError(file, row, "reason_no_double_opt_out", 'goes with double_opt_out = "no"')
    if "confirmation_within_minutes" in values and values.get("confirmation") not in ("allowed", "required"):
        raise PackError(file, row, "confirmation_within_minutes", "no confirmation is allowed here")


def _validity(file: str, row: str, block: dict[str, Any]) -> tuple[date, date]:
    span = (block["valid_from"], block["valid_to"])
    for key, value in zip(("valid_from", "valid_to"), span, strict=True):
        if value != "open" and type(value) is not date:
            raise PackError(file, row, key, 'neither a date nor "open"')
    start = date.min if span[0] == "open" else span[0]
    end = date.max if span[1] == "open" else span[1]
    if start >= end:
        raise PackError(file, row, "valid_to", "not after valid_from")
    return start, end


def _value(file: str, row: str, key: str, value: Any) -> Any:
    reader = _READERS.get(key)
    if reader is None:
        raise PackError(file, row, key, "unknown key")
    try:
        return reader(value)
    except (ValueError, TypeError) as error:
        raise PackError(file, row, key, str(error)) from None


def _choice(allowed: tuple[str, ...]) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if value not in allowed:
            raise ValueError(f"{value!r} is not one of {', '.join(allowed)}")
        return str(value)

    return read


def _is_text_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, str) and v for v in value)


def _texts(value: Any) -> tuple[str, ...]:
    if not _is_text_list(value):
        raise ValueError("not a list of texts")
    return tuple(value)


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("not a text")
    return value


def _count(value: Any) -> int:
    if type(value) is not int or value < 1:
        raise ValueError("not a whole number from 1 up")
    return value


def _limits(value: Any) -> tuple[Limit, ...]:
    return tuple(_limit(text) for text in _texts(value))


def _limit(text: str) -> Limit:
    found = re.fullmatch(r"immediate|([1-9]\d*) (days|business_days)", text)
    if not found:
        raise ValueError(f"{text!r} is neither immediate nor a number of days or business_days")
    return Limit(int(found[1]), found[2]) if found[1] else Limit(0, "immediate")


_READERS: dict[str, Callable[[Any], Any]] = {
    **{key: _choice(allowed) for key, allowed in CHOICES.items()},
    "honour": _limits,
    "confirmation_within_minutes": _count,
    "reason_no_double_opt_out": _text,
    "keywords": _texts,
    "languages": _texts,
    "window": lambda quiet: windows.window(**quiet),
    "label": _text,
    "retention_years": _count,
}
