from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.regions.windows import ALWAYS, Window, intersect, next_open, window

FEDERAL = window("21:00", "08:00")
FRANCE = window("21:30", "08:00", ["sun", "holiday"])
TEXAS = window("21:00", "09:00", ["sun:12:00-21:00"])


def at(zone: str, *clock: int) -> datetime:
    # In UTC, because Python calls two datetimes of the hour that the clock shows twice unequal.
    return datetime(*clock, tzinfo=ZoneInfo(zone)).astimezone(UTC)  # type: ignore[misc,arg-type]


def test_quiet_hours_leave_the_rest_of_the_day_open() -> None:
    assert FEDERAL.days == ((480, 1260),) * 7
    assert FEDERAL.holidays is True
    assert window("00:00", "08:30").days[0] == (510, 1440)
    assert FRANCE.days == ((480, 1290),) * 6 + ((0, 0),)
    assert FRANCE.holidays is False
    assert TEXAS.days[5:] == ((540, 1260), (720, 1260))


@pytest.mark.parametrize(
    ("start", "end", "days"),
    [
        ("08:00", "21:00", []),
        ("08:00", "08:00", []),
        ("9:00", "08:00", []),
        ("24:00", "08:00", []),
        ("21:00", "08:60", []),
        ("21:00", "08:00", ["sunday"]),
        ("21:00", "08:00", ["xyz"]),
        ("21:00", "08:00", ["sat:13:00-09:00"]),
        ("21:00", "08:00", ["sat:07:00-09:00"]),
        ("21:00", "08:00", ["sat:09:00-22:00"]),
    ],
)
def test_contradictory_quiet_hours_are_refused(start: str, end: str, days: list[str]) -> None:
    with pytest.raises(ValueError):
        window(start, end, days)


def test_intersect() -> None:
    both = intersect([FRANCE, TEXAS])
    assert both.days == ((540, 1260),) * 6 + ((0, 0),)
    assert both.holidays is False
    assert intersect([]) == ALWAYS
    assert intersect([window("12:00", "08:00"), window("21:00", "12:00")]).days == ((0, 0),) * 7


@pytest.mark.parametrize(
    ("hours", "zone", "asked", "answer"),
    [
        # Both sides of each edge: the start of the quiet hours is quiet, their end is not.
        (FEDERAL, "America/Denver", (2026, 11, 20, 7, 59, 59), (2026, 11, 20, 8, 0)),
        (FEDERAL, "America/Denver", (2026, 11, 20, 8, 0), (2026, 11, 20, 8, 0)),
        (FEDERAL, "America/Denver", (2026, 11, 20, 20, 59, 59), (2026, 11, 20, 20, 59, 59)),
        (FEDERAL, "America/Denver", (2026, 11, 20, 21, 0), (2026, 11, 21, 8, 0)),
        (FEDERAL, "America/Denver", (2026, 11, 20, 0, 0), (2026, 11, 20, 8, 0)),
        # Weekdays
        (FRANCE, "Europe/Paris", (2026, 11, 22, 10, 0), (2026, 11, 23, 8, 0)),
        (FRANCE, "Europe/Paris", (2026, 11, 21, 21, 29), (2026, 11, 21, 21, 29)),
        (FRANCE, "Europe/Paris", (2026, 11, 21, 21, 30), (2026, 11, 23, 8, 0)),
        (FRANCE, "Europe/Paris", (2026, 11, 22, 23, 59), (2026, 11, 23, 8, 0)),
        (TEXAS, "America/Denver", (2026, 11, 22, 11, 30), (2026, 11, 22, 12, 0)),
        (TEXAS, "America/Denver", (2026, 11, 21, 9, 0), (2026, 11, 21, 9, 0)),
        # Year end and leap day
        (FEDERAL, "America/Denver", (2026, 12, 31, 22, 0), (2027, 1, 1, 8, 0)),
        (FEDERAL, "America/Denver", (2028, 2, 28, 22, 0), (2028, 2, 29, 8, 0)),
        (FEDERAL, "America/Denver", (2027, 2, 28, 22, 0), (2027, 3, 1, 8, 0)),
        # Clock changes, forward and back: eight o'clock by the wall
        (FEDERAL, "America/New_York", (2027, 3, 13, 22, 0), (2027, 3, 14, 8, 0)),
        (FEDERAL, "America/New_York", (2026, 10, 31, 22, 0), (2026, 11, 1, 8, 0)),
        (FEDERAL, "Europe/Berlin", (2027, 3, 27, 22, 0), (2027, 3, 28, 8, 0)),
        # An opening that the clock change swallows: 02:30 does not exist, 03:30 is the first moment after
        (window("22:00", "02:30"), "Europe/Berlin", (2027, 3, 27, 23, 0), (2027, 3, 28, 3, 30)),
        # An opening that the clock shows twice counts the first time
        (window("22:00", "02:30"), "Europe/Berlin", (2026, 10, 25, 1, 0), (2026, 10, 25, 2, 30)),
    ],
)
def test_next_open_in_one_zone(hours: Window, zone: str, asked: tuple[int, ...], answer: tuple[int, ...]) -> None:
    assert next_open(hours, [zone], at(zone, *asked)) == at(zone, *answer)


def test_the_length_of_the_night_follows_the_clock_change() -> None:
    for night, hours in (((2027, 3, 13), 9), ((2026, 10, 31), 11), ((2026, 11, 20), 10)):
        asked = at("America/New_York", *night, 22, 0)
        found = next_open(FEDERAL, ["America/New_York"], asked)
        assert found is not None
        assert found - asked == timedelta(hours=hours)


def test_an_opening_in_the_hour_shown_twice_opens_again_the_second_time() -> None:
    hours = window("22:00", "02:30")
    second_two_o_clock = datetime(2026, 10, 25, 1, 0, tzinfo=UTC)  # 02:00 in winter time
    assert next_open(hours, ["Europe/Berlin"], second_two_o_clock) == second_two_o_clock + timedelta(minutes=30)


def test_several_zones_have_to_be_open_at_once() -> None:
    zones = ["America/New_York", "America/Chicago"]
    early = at("America/New_York", 2026, 11, 20, 8, 30)
    assert next_open(FEDERAL, zones, early) == at("America/Chicago", 2026, 11, 20, 8, 0)
    late = at("America/Chicago", 2026, 11, 20, 20, 30)
    assert next_open(FEDERAL, zones, late) == at("America/Chicago", 2026, 11, 21, 8, 0)


def test_both_sides_of_the_date_line() -> None:
    # Samoa is 24 hours ahead of American Samoa: the same clock, another weekday.
    zones = ["Pacific/Apia", "Pacific/Pago_Pago"]
    saturday = at("Pacific/Pago_Pago", 2026, 11, 21, 10, 0)
    assert next_open(FEDERAL, zones, saturday) == saturday
    assert next_open(FRANCE, zones, saturday) == at("Pacific/Pago_Pago", 2026, 11, 23, 8, 0)


def test_never_open() -> None:
    now = at("UTC", 2026, 11, 20, 12, 0)
    shut = intersect([window("12:00", "08:00"), window("21:00", "12:00")])
    assert next_open(shut, ["UTC"], now) is None
    # Ten hours a day, zones twelve hours apart
    assert next_open(window("18:00", "08:00"), ["Asia/Tokyo", "America/Sao_Paulo"], now) is None


def test_no_zone() -> None:
    now = at("UTC", 2026, 11, 20, 12, 0)
    assert next_open(ALWAYS, [], now) == now
    assert next_open(FEDERAL, [], now) is None


ZONES = st.sets(
    st.sampled_from(["America/New_York", "America/Los_Angeles", "Europe/Berlin", "Asia/Kolkata"]),
    min_size=1,
    max_size=3,
)


@given(st.datetimes(datetime(2026, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC)), ZONES)
def test_the_answer_is_open_in_every_zone_and_not_in_the_past(instant: datetime, zones: set[str]) -> None:
    found = next_open(FRANCE, zones, instant)
    if found is None:
        return
    assert found >= instant
    for zone in zones:
        local = found.astimezone(ZoneInfo(zone))
        start, end = FRANCE.days[local.weekday()]
        assert start <= local.hour * 60 + local.minute < end


@given(st.datetimes(datetime(2026, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC)), ZONES)
def test_another_zone_never_makes_it_earlier(instant: datetime, zones: set[str]) -> None:
    fewer = next_open(FEDERAL, sorted(zones)[:1], instant)
    more = next_open(FEDERAL, zones, instant)
    assert fewer is not None
    assert more is None or more >= fewer
