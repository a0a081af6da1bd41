from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.phone import NOWHERE, Place, place_of
from gateway.regions import (
    Limit,
    RegionRefusal,
    Rules,
    check_double_opt_out,
    next_allowed,
    packaged,
    rules_at,
)
from gateway.regions.format import CHOICES
from gateway.regions.windows import ALWAYS, intersect

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
COLORADO, FLORIDA, QUEBEC = "+13035550123", "+13055550123", "+15145550123"


def place(country: str, subdivision: str | None = None) -> Place:
    return Place(country, subdivision, frozenset(), False)


def rules(number: str, instant: datetime = NOW) -> Rules:
    return rules_at(place_of(number), instant)


def hold(number: str, *clock: int) -> datetime | None:
    """When a text that is due at a local time may leave, as local time without the zone."""
    zone = ZoneInfo(min(place_of(number).time_zones))
    due = datetime(*clock, tzinfo=zone)  # type: ignore[misc,arg-type]
    leaves = next_allowed(rules(number, due), place_of(number).time_zones, due)
    return leaves.astimezone(zone).replace(tzinfo=None) if leaves else None


class TestVectorsOfTheResearch:
    """The numbered vectors of regions.md that need neither a holiday calendar nor a database."""

    def test_1_and_2_one_confirmation_within_five_minutes(self) -> None:
        found = rules(COLORADO)
        assert (found.confirmation, found.confirmation_within_minutes) == ("allowed", 5)
        assert found.honour[0] == Limit(10, "business_days")

    def test_8_florida_has_two_deadlines(self) -> None:
        assert set(rules(FLORIDA).honour) == {Limit(15, "days"), Limit(10, "business_days")}

    def test_9_florida_after_eight(self) -> None:
        assert hold(FLORIDA, 2026, 11, 23, 20, 5) == datetime(2026, 11, 24, 8, 0)

    def test_11_el_paso_on_sunday_morning(self) -> None:
        assert hold("+19155550123", 2026, 11, 22, 11, 30) == datetime(2026, 11, 22, 12, 0)

    def test_13_alabama_bans_holidays(self) -> None:
        assert rules("+12055550123").window.holidays is False

    def test_14_virginia_keeps_ten_years(self) -> None:
        assert rules("+17575550123").retention_years == 10

    def test_16_quebec_is_answered_in_french(self) -> None:
        found = rules(QUEBEC)
        assert found.languages[0] == "fr"
        assert {"ARRET", "ARRÊT", "STOP"} <= set(found.keywords)
        assert found.honour == (Limit(10, "business_days"),)

    def test_18_france_on_sunday(self) -> None:
        assert hold("+33612345678", 2026, 11, 22, 10, 0) == datetime(2026, 11, 23, 8, 0)

    def test_19_france_wants_the_operator_short_code(self) -> None:
        assert any("36xxx" in label for label in rules("+33612345678").labels)

    def test_22_one_click_in_germany(self) -> None:
        found = rules("+4915123456789")
        assert found.double_opt_out == "no"
        assert found.honour == (Limit(0, "immediate"),)

    def test_23_jersey_is_not_britain(self) -> None:
        assert rules("+447797712345").rows == ("JE",)
        assert any("Jersey" in basis for basis in rules("+447797712345").legal_basis)

    def test_a_number_without_a_state_gets_the_strictest_of_all(self) -> None:
        hours = rules("+18005550123").window
        assert hours.days == ((600, 1080),) * 5 + ((600, 1020), (0, 0))
        assert hours.holidays is False


@pytest.mark.parametrize(
    ("instant", "scope"),
    [
        (datetime(2026, 11, 22, tzinfo=UTC), "marketing"),
        (datetime(2027, 1, 30, 23, 59, 59, tzinfo=UTC), "marketing"),
        (datetime(2027, 1, 31, 0, 0, tzinfo=UTC), "all"),
        (datetime(2027, 1, 30, 18, 0, tzinfo=ZoneInfo("America/Denver")), "all"),
        (datetime(2040, 1, 1, tzinfo=UTC), "all"),
    ],
)
@pytest.mark.parametrize("number", [COLORADO, FLORIDA, "+17575550123", "+17875550123", "+18005550123"])
def test_revoke_all_begins_on_its_day_in_every_state_and_territory(
    number: str, instant: datetime, scope: str
) -> None:
    assert rules(number, instant).default_scope == scope


def test_revoke_all_is_american() -> None:
    later = datetime(2027, 2, 1, tzinfo=UTC)
    assert rules(QUEBEC, later).default_scope == "marketing"
    assert rules("+4915123456789", later).default_scope == "marketing"


def test_a_subdivision_overrides_only_what_it_states() -> None:
    florida, colorado = rules(FLORIDA), rules(COLORADO)
    assert florida.window != colorado.window
    assert florida.keywords == colorado.keywords
    assert florida.explain["window"] == ("US-FL",)
    assert florida.explain["keywords"] == ("US",)


def test_what_nothing_states_comes_from_the_fallback() -> None:
    germany = rules("+4915123456789")
    assert germany.window == ALWAYS
    assert "window" not in germany.explain
    assert rules("+819012345678").explain["keywords"] == ("ZZ",)


def test_a_row_that_shares_a_law_says_where_it_comes_from() -> None:
    assert rules("+447797712345").explain["window"] == ("GB",)
    assert rules("+590690123456").explain["window"] == ("FR",)
    assert rules("+17875550123").explain["honour"] == ("US",)
    assert rules("+4915123456789").explain["double_opt_out"] == ("EU",)


def test_weak_evidence_is_shown() -> None:
    assert rules(COLORADO).confidence["honour"] == "read"
    assert rules("+447797712345").confidence["honour"] == "recalled"
    assert rules("+13125550123").confidence["window"] == "read"
    assert rules("+12125550123").confidence["retention_years"] == "partly"


@pytest.mark.parametrize("number", ["+819012345678", "+15551234567", "", "+18765550123"])
def test_what_has_no_file_gets_the_strict_hours(number: str) -> None:
    found = rules(number)
    assert found.window.days == ((600, 1080),) * 5 + ((600, 780), (0, 0))
    assert found.window.holidays is False


def test_an_unknown_place_is_stricter_than_an_unlisted_country() -> None:
    assert rules_at(NOWHERE, NOW).default_scope == "all"
    assert rules_at(NOWHERE, NOW).double_opt_out == "no"
    assert rules_at([], NOW) == rules_at(NOWHERE, NOW)
    assert rules("+819012345678").default_scope == "marketing"
    assert rules("+819012345678").double_opt_out == "offer_after"


def test_several_places_merge_to_the_strictest() -> None:
    both = rules_at([place_of(FLORIDA), place_of("+33612345678")], NOW)
    assert both.window.days == ((480, 1200),) * 6 + ((0, 0),)
    assert both.honour[0] == Limit(0, "immediate")
    assert both.two_way_sms == "limited"
    assert {"en", "es", "fr"} <= set(both.languages)
    assert set(both.explain["window"]) == {"US-FL", "FR"}
    assert both.retention_years == 5
    assert "GDPR" in str(both.reason_no_double_opt_out)


def test_the_order_of_places_does_not_matter() -> None:
    places = [place_of(FLORIDA), place_of(QUEBEC), place_of("+4915123456789")]
    assert rules_at(places, NOW) == rules_at(places[::-1], NOW)


def test_every_decision_can_name_its_pack() -> None:
    assert rules(COLORADO).pack_version == packaged().version


def test_a_naive_instant_is_refused() -> None:
    with pytest.raises(ValueError, match="aware"):
        rules_at(place_of(COLORADO), datetime(2026, 11, 22))


LISTED = [
    place(country, row)
    for country, head in packaged().countries.items()
    if country not in ("EU", "ZZ")
    for row in (None, *head.rows)
]


@pytest.mark.parametrize("where", LISTED, ids=lambda where: where.subdivision or where.country)
def test_every_row_answers_everything(where: Place) -> None:
    found = rules_at(where, NOW)
    for key, allowed in CHOICES.items():
        assert getattr(found, key) in allowed
    assert found.honour
    assert "STOP" in found.keywords
    assert found.languages
    assert found.legal_basis
    assert found.double_opt_out == "no"
    assert found.reason_no_double_opt_out
    assert all(rows for rows in found.explain.values())


def test_single_opt_out_in_every_country_we_cover() -> None:
    for country in packaged().countries:
        with pytest.raises(RegionRefusal, match="not lawful"):
            check_double_opt_out(country)


@pytest.mark.parametrize(
    ("country", "reason"),
    [
        ("DE", "GDPR art. 7(3)"),
        ("de", "GDPR art. 7(3)"),
        ("PL", "GDPR art. 7(3)"),
        ("NO", "GDPR art. 7(3)"),
        ("GB", "PECR"),
        ("UK", "PECR"),
        ("JE", "PECR"),
        ("CH", "UWG"),
        ("CA", "CASL s. 11(3)"),
        ("US", "47 CFR 64.1200"),
        ("PR", "47 CFR 64.1200"),
        ("GP", "GDPR art. 7(3)"),
        ("ZZ", "not known"),
        ("Germany", "no country code"),
        ("", "no country code"),
    ],
)
def test_double_opt_out_is_refused_with_the_legal_reason(country: str, reason: str) -> None:
    with pytest.raises(RegionRefusal) as caught:
        check_double_opt_out(country)
    assert reason in caught.value.reason


@pytest.mark.parametrize("country", ["BR", "IN", "ID", "TH"])
def test_elsewhere_it_may_be_offered_afterwards(country: str) -> None:
    check_double_opt_out(country)
    assert rules_at(place(country), NOW).double_opt_out == "offer_after"


def test_hours_without_a_zone_count_every_zone_of_the_country() -> None:
    # 08:00 in Anchorage is 12:00 in New York; Honolulu follows two hours later.
    noon = datetime(2026, 11, 20, 12, 0, tzinfo=ZoneInfo("America/New_York"))
    found = next_allowed(rules(COLORADO), [], noon)
    assert found is not None
    assert found.astimezone(ZoneInfo("Pacific/Honolulu")).hour == 8


def test_hours_without_any_place_are_never() -> None:
    assert next_allowed(rules_at(NOWHERE, NOW), [], NOW) is None


def test_no_hours_no_waiting() -> None:
    night = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
    assert next_allowed(rules("+4915123456789"), ["Europe/Berlin"], night) == night
    assert next_allowed(rules("+4915123456789"), [], night) == night


NUMBERS = ["+13035550123", "+13055550123", "+14015550123", "+15145550123", "+33612345678", "+447797712345"]


@given(st.sets(st.sampled_from(NUMBERS), min_size=1, max_size=3), st.sampled_from(NUMBERS))
def test_another_place_never_loosens(numbers: set[str], another: str) -> None:
    fewer = rules_at(map(place_of, sorted(numbers)), NOW)
    more = rules_at(map(place_of, [*sorted(numbers), another]), NOW)
    assert_not_looser(more, fewer)


@pytest.mark.parametrize("where", LISTED, ids=lambda where: where.subdivision or where.country)
def test_losing_the_state_or_the_country_never_loosens(where: Place) -> None:
    for instant in (NOW, NOW + timedelta(days=100)):
        known = rules_at(where, instant)
        without_state = rules_at(place(where.country), instant)
        assert_not_looser(without_state, known)
        nowhere = rules_at(NOWHERE, instant)
        assert intersect([nowhere.window, without_state.window]) == nowhere.window
        for key in ("default_scope", "double_opt_out"):
            assert CHOICES[key].index(getattr(nowhere, key)) >= CHOICES[key].index(getattr(without_state, key))


def assert_not_looser(stricter: Rules, looser: Rules) -> None:
    for key, order in CHOICES.items():
        assert order.index(getattr(stricter, key)) >= order.index(getattr(looser, key)), key
    assert intersect([stricter.window, looser.window]) == stricter.window
    assert set(looser.keywords) <= set(stricter.keywords)
    assert set(looser.languages) <= set(stricter.languages)
    assert set(looser.labels) <= set(stricter.labels)
    assert (looser.retention_years or 0) <= (stricter.retention_years or 0)
    for limit in looser.honour:
        assert any(other.unit == limit.unit and other.within <= limit.within for other in stricter.honour)


@given(st.integers(min_value=10**6, max_value=10**15 - 1))
def test_every_number_has_an_answer(digits: int) -> None:
    where = place_of(f"+{digits}")
    found = rules_at(where, NOW)
    assert found.rows
    leaves = next_allowed(found, where.time_zones, NOW)
    assert leaves is None or leaves >= NOW
