"""Phone numbers: reading them, and saying where their owner probably is.

The only module that imports `phonenumbers`. No number ever stands in an error's text.
"""

import re
import tomllib
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from typing import Any

import phonenumbers
from phonenumbers import PhoneNumber, PhoneNumberType, ValidationResult

UNKNOWN_COUNTRY = "ZZ"


class BadNumber(ValueError):
    """What was given is no phone number. `reason` is a sentence for the marketer, without the number."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Place:
    """Where a number is presumed to be.

    `country` is ISO 3166-1 ("ZZ" when unknown), `subdivision` ISO 3166-2 ("US-FL") or None, `time_zones`
    every IANA zone its owner may live in (empty when unknown), `toll_free` a +1 toll-free number.
    """

    country: str
    subdivision: str | None
    time_zones: frozenset[str]
    toll_free: bool


NOWHERE = Place(UNKNOWN_COUNTRY, None, frozenset(), False)

_CHANNEL = re.compile(r"([a-z]+):(.*)", re.IGNORECASE | re.DOTALL)
_DRESSING = re.compile(r"[\s()\[\]./\-‐‑‒–—―−'’]+")
_OLD_MEXICAN_MOBILE = re.compile(r"\+521(?=\d{10}$)")
_TOO_LONG = "too long for a phone number"
_TOO_SHORT = "too short for a phone number"
# A +1 number whose area code tells nothing gets every zone of the plan (42 of them in metadata 9.0.43).
_WHOLE_PLAN = 20


def split_channel(address: str) -> tuple[str, str]:
    """`"whatsapp:+49…"` → `("whatsapp", "+49…")`; without a prefix the channel is `"sms"`."""
    found = _CHANNEL.fullmatch(address.strip())
    return (found[1].lower(), found[2].strip()) if found else ("sms", address.strip())


def is_short_code(raw: str) -> bool:
    """Whether `raw` is a carrier's short code: 3 to 8 digits without a country code."""
    return re.fullmatch(r"\d{3,8}", raw.strip(), re.ASCII) is not None


def parse(raw: str, default_country: str | None = None) -> str:
    """E.164 of a number as people write it; `default_country` (ISO 3166-1) is for national spellings.

    A number counts when the plan knows it or a mobile there can have its length: the plan's tables lag
    behind new area codes, and a STOP from such a code has to count.
    Raises BadNumber.
    """
    digits = _undress(raw)
    if not digits.startswith("+") and not default_country:
        short = is_short_code(digits)
        raise BadNumber("a short code, not a phone number" if short else "country code missing (+49…)")
    try:
        number = phonenumbers.parse(digits, default_country)
    except phonenumbers.NumberParseException as error:
        raise BadNumber(_why(error)) from None
    return _checked(_modern(number))


@lru_cache(maxsize=1 << 16)
def place_of(number: str) -> Place:
    """Where the owner of an E.164 number is presumed to be; `NOWHERE` for what cannot be placed.

    +1 is read by our own table of area codes, everything else by the numbering plan's metadata.
    """
    try:
        parsed = phonenumbers.parse(same_person(split_channel(number)[1]))
    except phonenumbers.NumberParseException:
        return NOWHERE
    area = str(parsed.national_number)[:3] if parsed.country_code == 1 else ""
    country, subdivision = _areas().get(area) or (_country_of(parsed), None)
    if country == UNKNOWN_COUNTRY:
        return NOWHERE
    return Place(country, subdivision, _zones_of(parsed, country, area), area in _toll_free())


def same_person(number: str) -> str:
    """One spelling for one person out of what a carrier sends: E.164, where only Mexico has two."""
    return _OLD_MEXICAN_MOBILE.sub("+52", number)


def redact(number: str) -> str:
    """`"+4915123456789"` → `"+49…89"`: fit for logs, with the country code and two digits at most."""
    channel, rest = split_channel(number)
    prefix = "" if channel == "sms" else f"{channel}:"
    try:
        return f"{prefix}+{phonenumbers.parse(rest).country_code}…{rest[-2:]}"
    except phonenumbers.NumberParseException:
        return f"{prefix}…"


@cache
def zones_of_country(country: str) -> frozenset[str]:
    """Every IANA zone of a country (tzdata's zone.tab); empty for an unknown country."""
    table = resources.files("tzdata").joinpath("zoneinfo/zone.tab").read_text("utf-8")
    rows = (line.split("\t") for line in table.splitlines() if not line.startswith("#"))
    return frozenset(row[2] for row in rows if row[0] == country)


def _undress(raw: str) -> str:
    """Digits with a leading + where there was one (or 00); refuses anything but digits and dressing."""
    plain = "".join(c for c in unicodedata.normalize("NFKC", raw) if unicodedata.category(c) != "Cf")
    if re.fullmatch(r"\s*\d[.,]\d+E\+?\d+\s*", plain, re.IGNORECASE):
        raise BadNumber("spoilt by a spreadsheet (scientific notation); format the column as text")
    plain = _DRESSING.sub("", _without_trunk_zero(plain))
    if not plain:
        raise BadNumber("empty")
    if not re.fullmatch(r"\+?\d+", plain):
        raise BadNumber("contains something other than digits")
    return re.sub(r"^00", "+", "".join(c if c == "+" else str(int(c)) for c in plain))


def _without_trunk_zero(text: str) -> str:
    """`+49 (0)151` is +49151, but Italy's and San Marino's zero is part of the number."""
    if re.match(r"\s*(?:\+|00)\s*(?!39|378)\d", text):
        return re.sub(r"\(\s*0\s*\)", "", text, count=1)
    return text


def _why(error: phonenumbers.NumberParseException) -> str:
    """With nothing but digits left, whatever is neither unknown nor too long is too short to be read."""
    return {
        phonenumbers.NumberParseException.INVALID_COUNTRY_CODE: "unknown country code",
        phonenumbers.NumberParseException.TOO_LONG: _TOO_LONG,
    }.get(error.error_type, _TOO_SHORT)


def _modern(number: PhoneNumber) -> PhoneNumber:
    """Mexico dropped the 1 of +52 1 in 2019; old and new spelling are one person."""
    spelt = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    modern = _OLD_MEXICAN_MOBILE.sub("+52", spelt)
    return number if modern == spelt else phonenumbers.parse(modern)


def _checked(number: PhoneNumber) -> str:
    if not phonenumbers.is_valid_number(number):
        _check_length(number)
        if number.country_code == 1 and str(number.national_number)[0] in "01":
            raise BadNumber("no such area code")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _check_length(number: PhoneNumber) -> None:
    """Raises BadNumber unless a mobile number of that country can have this length."""
    result = phonenumbers.is_possible_number_for_type_with_reason(number, PhoneNumberType.MOBILE)
    if result != ValidationResult.IS_POSSIBLE:
        raise BadNumber(_TOO_LONG if result == ValidationResult.TOO_LONG else _TOO_SHORT)


def _country_of(number: PhoneNumber) -> str:
    """The plan's region; for a number it does not know, the main country of its country code."""
    region = phonenumbers.region_code_for_number(number)
    if not region and number.country_code != 1:
        region = phonenumbers.region_code_for_country_code(number.country_code or 0)
    return region if region and region.isalpha() else UNKNOWN_COUNTRY


def _zones_of(number: PhoneNumber, country: str, area: str) -> frozenset[str]:
    """Zones told by the number, by its area code's split, else every zone of its state or country."""
    told = _zones_told(number) | _split_zones().get(area, frozenset())
    return (told & zones_of_country(country)) or _zones_of_state(area) or zones_of_country(country) or told


def _zones_told(number: PhoneNumber) -> frozenset[str]:
    # Imported late: its prefix table costs 10 MB, and a command line that only shows help never needs it.
    from phonenumbers import timezone

    # In +1 the area code tells even where the exchange is unknown. Elsewhere only valid numbers tell: the
    # same look-up by prefix would put every Russian mobile into Moscow.
    ask = (
        timezone.time_zones_for_geographical_number if number.country_code == 1 else timezone.time_zones_for_number
    )
    zones = frozenset(ask(number)) - {"Etc/Unknown"}
    return zones if number.country_code != 1 or len(zones) < _WHOLE_PLAN else frozenset()


@cache
def _zones_of_state(area: str) -> frozenset[str]:
    """All zones of the area code's state, for codes younger than the zone table; empty without a state."""
    state = _areas().get(area, ("", None))[1]
    siblings = [code for code, (_, part) in _areas().items() if state and part == state]
    told = [_zones_told(phonenumbers.parse(f"+1{code}5550123")) for code in siblings]
    return frozenset().union(*told, *(_split_zones().get(code, frozenset()) for code in siblings))


@cache
def _table() -> dict[str, dict[str, Any]]:
    text = resources.files("gateway").joinpath("area_codes.toml").read_text("utf-8")
    return tomllib.loads(text)


@cache
def _areas() -> dict[str, tuple[str, str | None]]:
    """Area code → (country, subdivision)."""
    return {str(code): place for code, place in _rows()}


def _rows() -> Iterator[tuple[int, tuple[str, str | None]]]:
    for country in ("US", "CA"):
        for part, codes in _table()[country].items():
            yield from ((code, (country, f"{country}-{part}")) for code in codes)
    for group in ("countries", "no_place", "toll_free"):
        for country, codes in _table()[group].items():
            yield from ((code, (country, None)) for code in codes)


@cache
def _toll_free() -> frozenset[str]:
    return frozenset(map(str, _table()["toll_free"]["US"]))


@cache
def _split_zones() -> dict[str, frozenset[str]]:
    split = _table()["zones"]
    return {code: frozenset(zones) for codes, zones in split.items() for code in codes.split()}
