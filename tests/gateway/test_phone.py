import subprocess
import sys
import tomllib
from collections import Counter
from importlib import resources

import pytest

from gateway import phone
from gateway.phone import NOWHERE, BadNumber, is_short_code, parse, place_of, redact, split_channel

ISLANDS = {
    "+18765550123": "JM",
    "+12465550123": "BB",
    "+14415550123": "BM",
    "+18095550123": "DO",
    "+18685550123": "TT",
    "+12425550123": "BS",
}
TERRITORIES = {
    "+17875550123": "PR",
    "+19395550123": "PR",
    "+16715550123": "GU",
    "+13405550123": "VI",
    "+16705550123": "MP",
    "+16845550123": "AS",
}


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("+4915123456789", ("sms", "+4915123456789")),
        ("whatsapp:+4915123456789", ("whatsapp", "+4915123456789")),
        (" WhatsApp: +4915123456789 ", ("whatsapp", "+4915123456789")),
        ("rcs:brand", ("rcs", "brand")),
        ("", ("sms", "")),
    ],
)
def test_split_channel(address: str, expected: tuple[str, str]) -> None:
    assert split_channel(address) == expected


@pytest.mark.parametrize(
    ("raw", "country", "expected"),
    [
        ("+4915123456789", None, "+4915123456789"),
        ("+49 151 234-567-89", None, "+4915123456789"),
        ("+49 (0)151 23456789", None, "+4915123456789"),
        ("0049 151 23456789", None, "+4915123456789"),
        ("0049 (0) 151 23456789", None, "+4915123456789"),
        ("0151/234 567-89", "DE", "+4915123456789"),
        ("0049 151 23456789", "US", "+4915123456789"),
        ("011 49 151 23456789", "US", "+4915123456789"),
        ("＋４９１５１２３４５６７８９", None, "+4915123456789"),
        ("+٤٩١٥١٢٣٤٥٦٧٨٩", None, "+4915123456789"),
        ("\u202a+49\u00a0151\u200b23456789\u202c", None, "+4915123456789"),
        ("'+4915123456789", None, "+4915123456789"),
        ("(303) 555-0123", "US", "+13035550123"),
        ("+1 303.555.0123", "DE", "+13035550123"),
        ("+44 (0)7400 123456", None, "+447400123456"),
        ("+39 06 1234 5678", None, "+390612345678"),
        ("+39 (0)6 12345678", None, "+390612345678"),
        ("+52 1 55 1234 5678", None, "+525512345678"),
        ("+52 55 1234 5678", None, "+525512345678"),
        # Reserved or newer than the metadata, but of a mobile's length: a STOP from there must count.
        ("+447700900123", None, "+447700900123"),
        ("+16795550123", None, "+16795550123"),
    ],
)
def test_parse(raw: str, country: str | None, expected: str) -> None:
    assert parse(raw, country) == expected


@pytest.mark.parametrize(
    ("raw", "country", "reason"),
    [
        ("", None, "empty"),
        (" -() ", None, "empty"),
        ("hello", "DE", "something other than digits"),
        ("0151 CALL ME", "DE", "something other than digits"),
        ("+49 151 23456789 ext 5", None, "something other than digits"),
        ("++4915123456789", None, "something other than digits"),
        ("4,91512E+12", "DE", "scientific notation"),
        ("4.91512E+12", None, "scientific notation"),
        ("015123456789", None, "country code missing"),
        ("12345", None, "short code"),
        ("+999123456789", None, "unknown country code"),
        ("+4915112", None, "too short"),
        ("+49", None, "too short"),
        ("+4915112345678901", None, "too long"),
        ("+491511234567890123456", None, "too long"),
        ("+1 303 555 012", None, "too short"),
        ("+1 303 555 01234", None, "too long"),
        ("+1 123 456 7890", None, "no such area code"),
    ],
)
def test_parse_refuses(raw: str, country: str | None, reason: str) -> None:
    with pytest.raises(BadNumber) as caught:
        parse(raw, country)
    assert reason in caught.value.reason
    assert str(caught.value) == caught.value.reason


def test_an_error_never_shows_the_number() -> None:
    with pytest.raises(BadNumber) as caught:
        parse("+4915112345678901")
    assert "1511" not in repr(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("72", False),
        ("723", True),
        ("72345", True),
        (" 36111 ", True),
        ("12345678", True),
        ("123456789", False),
        ("+72345", False),
        ("BRAND", False),
        ("", False),
    ],
)
def test_is_short_code(raw: str, expected: bool) -> None:
    assert is_short_code(raw) is expected


@pytest.mark.parametrize(
    ("number", "country", "subdivision"),
    [
        ("+13035550123", "US", "US-CO"),
        ("+13055550123", "US", "US-FL"),
        ("+12025550123", "US", "US-DC"),
        ("+17575550123", "US", "US-VA"),
        ("+16795550123", "US", "US-MI"),
        ("+15145550123", "CA", "CA-QC"),
        ("+12635550123", "CA", "CA-QC"),
        ("+14165550123", "CA", "CA-ON"),
        ("+19025550123", "CA", None),
        ("+18675550123", "CA", None),
        ("+16005550123", "CA", None),
        ("+15005550006", "US", None),
        ("+4915123456789", "DE", None),
        ("whatsapp:+4915123456789", "DE", None),
        ("+447400123456", "GB", None),
        ("+447700900123", "GB", None),
        ("+447797712345", "JE", None),
        ("+447781123456", "GG", None),
        ("+447624123456", "IM", None),
        ("+35057123456", "GI", None),
        ("+33612345678", "FR", None),
        ("+590690123456", "GP", None),
        ("+594694123456", "GF", None),
        ("+596696123456", "MQ", None),
        ("+262692123456", "RE", None),
        ("+5215512345678", "MX", None),
        ("+77011234567", "KZ", None),
        ("+38344123456", "XK", None),
    ],
)
def test_place_of(number: str, country: str, subdivision: str | None) -> None:
    place = place_of(number)
    assert (place.country, place.subdivision) == (country, subdivision)
    assert place.time_zones


@pytest.mark.parametrize(("number", "country"), [*ISLANDS.items(), *TERRITORIES.items()])
def test_plus_one_is_not_only_the_united_states(number: str, country: str) -> None:
    assert (place_of(number).country, place_of(number).subdivision) == (country, None)


@pytest.mark.parametrize(
    "number", ["", "hello", "12345", "+", "+883510001234567", "+80012345678", "+15551234567", "+999123456789"]
)
def test_what_cannot_be_placed(number: str) -> None:
    assert place_of(number) == NOWHERE


@pytest.mark.parametrize(
    ("number", "zones"),
    [
        ("+13035550123", {"America/Denver"}),
        ("+19155550123", {"America/Denver"}),
        ("+12055550123", {"America/Chicago"}),
        ("+18505550123", {"America/Chicago", "America/New_York"}),
        ("+14235550123", {"America/Chicago", "America/New_York"}),
        ("+19285550123", {"America/Denver", "America/Phoenix"}),
        ("+18765550123", {"America/Jamaica"}),
        ("+447797712345", {"Europe/Jersey"}),
        ("+447700900123", {"Europe/London"}),
        ("+590690123456", {"America/Guadeloupe"}),
        # Newer than the zone table: every zone of the state's other codes.
        ("+16795550123", {"America/Detroit", "America/Menominee", "America/New_York"}),
    ],
)
def test_time_zones(number: str, zones: set[str]) -> None:
    assert place_of(number).time_zones == zones


def test_a_russian_mobile_may_be_anywhere_in_russia() -> None:
    zones = place_of("+79161234567").time_zones
    assert {"Europe/Moscow", "Asia/Vladivostok"} <= zones
    assert "Asia/Almaty" not in zones


def test_a_number_without_a_place_may_be_in_every_zone_of_its_country() -> None:
    assert {"America/New_York", "Pacific/Honolulu"} <= place_of("+18005550123").time_zones


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("+18005550123", True),
        ("+18885550123", True),
        ("+18335550123", True),
        ("+18225550123", False),
        ("+13035550123", False),
        ("+498005550123", False),
    ],
)
def test_toll_free(number: str, expected: bool) -> None:
    assert place_of(number).toll_free is expected


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("+4915123456789", "+49…89"),
        ("+13035550123", "+1…23"),
        ("whatsapp:+13035550123", "whatsapp:+1…23"),
        ("12345", "…"),
        ("hello", "…"),
    ],
)
def test_redact(number: str, expected: str) -> None:
    assert redact(number) == expected


def test_the_geocoder_is_never_imported_and_the_zones_only_when_asked() -> None:
    code = (
        "import sys; from gateway import phone; before = 'phonenumbers.timezone' in sys.modules;"
        "phone.place_of('+4915123456789');"
        "print(before, 'phonenumbers.timezone' in sys.modules, 'phonenumbers.geocoder' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True", "False"]


class TestAreaCodes:
    table = tomllib.loads(resources.files("gateway").joinpath("area_codes.toml").read_text("utf-8"))

    def test_no_code_is_listed_twice(self) -> None:
        groups = ("US", "CA", "countries", "no_place", "toll_free")
        codes = Counter(code for group in groups for row in self.table[group].values() for code in row)
        assert [code for code, times in codes.items() if times > 1] == []

    def test_every_state_and_province_is_there(self) -> None:
        assert len(self.table["US"]) == 51  # 50 states and DC
        # Nova Scotia, Prince Edward Island and the three territories share their codes.
        assert len(self.table["CA"]) == 8

    @pytest.mark.parametrize("group", ["US", "CA", "countries"])
    def test_every_code_agrees_with_the_metadata_where_it_knows_the_code(self, group: str) -> None:
        for part, codes in self.table[group].items():
            country = part if group == "countries" else group
            for code in codes:
                known = phone.phonenumbers.region_code_for_number(phone.phonenumbers.parse(f"+1{code}2345678"))
                assert known in (country, None), code

    def test_every_split_zone_exists_in_its_country(self) -> None:
        for codes in self.table["zones"]:
            for code in codes.split():
                place = place_of(f"+1{code}5550123")
                named = set(self.table["zones"][codes])
                foreign = named - phone.zones_of_country(place.country)
                assert foreign <= {"America/Puerto_Rico"}, code
                assert len(place.time_zones) > 1, code
