"""Hours in which marketing may be sent: one weekly window, intersected over places and time zones."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import starmap
from zoneinfo import ZoneInfo

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
HOLIDAY = "holiday"
_MIDNIGHT = 24 * 60
# A week repeats; the second one absorbs a clock change that swallows the only opening of the first.
_HORIZON = timedelta(days=15)

Span = tuple[int, int]
"""Minutes since local midnight, start included, end not; `(0, 0)` is a day without an opening."""


@dataclass(frozen=True, slots=True)
class Window:
    """`days`: the one span of each weekday, Monday first, in which sending is allowed. `holidays`: whether
    public holidays are open too; kept as a fact, the calendars that enforce it are not part of this package.
    """

    days: tuple[Span, ...]
    holidays: bool = True


ALWAYS = Window(((0, _MIDNIGHT),) * 7)


def window(quiet_start: str, quiet_end: str, quiet_days: Sequence[str] = ()) -> Window:
    """The window left open by quiet hours as the tables write them.

    Sending is banned from `quiet_start` (included) over midnight to `quiet_end` (not included), "HH:MM".
    `quiet_days`: `sun` bans a day, `sat:09:00-13:00` leaves only that span of it, `holiday` bans holidays.
    Raises ValueError.
    """
    usual = _span(_minutes(quiet_end), _minutes(quiet_start) or _MIDNIGHT)
    days = [usual] * 7
    for token in quiet_days:
        if token != HOLIDAY:
            day, span = _exception(token, usual)
            days[day] = span
    return Window(tuple(days), HOLIDAY not in quiet_days)


def intersect(windows: Iterable[Window]) -> Window:
    """What is open in all of them; `ALWAYS` for none."""
    both = ALWAYS
    for other in windows:
        days = starmap(_common, zip(both.days, other.days, strict=True))
        both = Window(tuple(days), both.holidays and other.holidays)
    return both


def next_open(hours: Window, time_zones: Iterable[str], instant: datetime) -> datetime | None:
    """Earliest aware UTC datetime, not before `instant`, at which `hours` are open in every zone at once.

    None when there is no zone or no such moment in the week. Clock changes are followed by wall clock.
    """
    zones = [ZoneInfo(name) for name in sorted(time_zones)]
    moment: datetime | None = instant.astimezone(UTC)
    if not zones:
        return moment if hours.days == ALWAYS.days else None
    end = instant + _HORIZON
    while moment is not None and moment < end:
        later = _latest([_opening(hours, zone, moment) for zone in zones])
        if later == moment:
            return moment
        moment = later
    return None


def _latest(openings: list[datetime | None]) -> datetime | None:
    known = [opening for opening in openings if opening is not None]
    return max(known) if len(known) == len(openings) else None


def _opening(hours: Window, zone: ZoneInfo, moment: datetime) -> datetime | None:
    """Earliest instant from `moment` on that is open by the wall clock of one zone."""
    local = moment.astimezone(zone)
    start, end = hours.days[local.weekday()]
    if start <= local.hour * 60 + local.minute < end:
        return moment
    days = (local.date() + timedelta(days=ahead) for ahead in range(8))
    openings = (opening for day in days for opening in _starts(hours.days[day.weekday()], zone, day))
    return next((opening for opening in openings if opening > moment), None)


def _starts(span: Span, zone: ZoneInfo, day: date) -> list[datetime]:
    """When a day's span begins: twice where the clock is set back over it, never on a closed day."""
    start, end = span
    clock = datetime.combine(day, time(*divmod(start, 60)), zone)
    return [clock.replace(fold=fold).astimezone(UTC) for fold in (0, 1)] if end > start else []


def _exception(token: str, usual: Span) -> tuple[int, Span]:
    """`"sat:09:00-13:00"` → (5, (540, 780)); `"sun"` → (6, (0, 0))."""
    found = re.fullmatch(r"([a-z]{3})(?::(\d\d:\d\d)-(\d\d:\d\d))?", token)
    if not found or found[1] not in DAYS:
        raise ValueError(f"{token!r} is no weekday, weekday span or {HOLIDAY!r}")
    if not found[2]:
        return DAYS.index(found[1]), (0, 0)
    span = _span(_minutes(found[2]), _minutes(found[3]) or _MIDNIGHT)
    if _common(span, usual) != span:
        raise ValueError(f"{token!r} opens hours that the quiet hours close")
    return DAYS.index(found[1]), span


def _span(start: int, end: int) -> Span:
    if start >= end:
        raise ValueError("quiet hours must run over midnight, so that one span a day stays open")
    return start, end


def _common(one: Span, other: Span) -> Span:
    start, end = max(one[0], other[0]), min(one[1], other[1])
    return (start, end) if start < end else (0, 0)


def _minutes(clock: str) -> int:
    found = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)", clock)
    if not found:
        raise ValueError(f"{clock!r} is no time of day (HH:MM)")
    return int(found[1]) * 60 + int(found[2])
