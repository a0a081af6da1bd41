import re
from datetime import UTC, datetime

import pytest

from gateway.phone import place_of
from gateway.regions import rules_at
from gateway.replies import KINDS, LANGUAGES, language_for, render
from gateway.segments import count, fits_one

NOW = datetime(2026, 11, 22, tzinfo=UTC)
SCOPES = ("program", "marketing", "all")
# Every text that can leave: each kind, the confirmation in each scope.
TEXTS = [("confirmation", scope) for scope in SCOPES] + [
    (kind, "program") for kind in KINDS if kind != "confirmation"
]
ADVERTISING = re.compile(
    r"https?:|www\.|\boffer|\bdeal|\bsale\b|discount|% off|\bfree\b|\bwin\b|\bshop|coupon|angebot|rabatt|"
    r"gratis|gutschein|\bkauf|offre|promo|réduction|solde|oferta|descuento|rebaja|!",
    re.IGNORECASE,
)


def text(kind: str, language: str, **given: str) -> str:
    facts = {"program": "Acme Shoes", "contact": "help@acme.example", "country": "DE"} | given
    return render(kind, language, **facts)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("kind", "scope"), TEXTS)
class TestEveryText:
    @pytest.mark.parametrize("country", ["DE", "US"])
    def test_one_segment_for_the_longest_name_and_contact(
        self, language: str, kind: str, scope: str, country: str
    ) -> None:
        found = text(kind, language, program="Ä" * 30, contact="c" * 40, country=country, scope=scope)
        assert count(found).encoding == "GSM-7"
        assert fits_one(found)

    def test_names_the_program(self, language: str, kind: str, scope: str) -> None:
        assert text(kind, language, scope=scope).startswith("Acme Shoes: ")
        assert text(kind, language, program="Магазин", scope=scope).startswith("Магазин: ")

    def test_no_advertising(self, language: str, kind: str, scope: str) -> None:
        assert not ADVERTISING.search(text(kind, language, scope=scope))
        assert not ADVERTISING.search(text(kind, language, program="Ж" * 30, scope=scope))

    def test_says_how_to_go_the_other_way(self, language: str, kind: str, scope: str) -> None:
        word = "START" if kind.startswith("confirmation") else "STOP"
        for program in ("Acme Shoes", "Ж" * 30):
            assert re.search(rf"\b{word}\b", text(kind, language, program=program, scope=scope))

    def test_a_name_is_filled_in_as_it_stands(self, language: str, kind: str, scope: str) -> None:
        assert "{contact} & Co" in text(kind, language, program="{contact} & Co", scope=scope)
        assert text(kind, language, program=" Acme \n Shoes ", scope=scope).startswith("Acme Shoes: ")


@pytest.mark.parametrize("language", LANGUAGES)
class TestLength:
    @pytest.mark.parametrize("kind", ["confirmation", "welcome_back"])
    def test_a_name_outside_gsm7_still_makes_one_segment(self, language: str, kind: str) -> None:
        found = text(kind, language, program="Ж" * 30)
        assert count(found).encoding == "UCS-2"
        assert fits_one(found)

    def test_the_long_wording_is_kept_while_it_fits(self, language: str) -> None:
        assert len(text("confirmation", language, program="Магазин")) < 70
        assert len(text("confirmation", language, program="Magazin")) > 70

    def test_what_fits_in_no_wording_is_sent_whole(self, language: str) -> None:
        found = text("confirmation", language, program="Ж" * 80)
        assert count(found).segments > 1
        assert len(found) > 150


@pytest.mark.parametrize(
    ("country", "shown"),
    [("US", True), ("PR", True), ("GU", True), ("CA", True), ("DE", False), ("GB", False), ("JM", False)],
)
def test_rates_are_told_where_carriers_want_it(country: str, shown: bool) -> None:
    assert ("Msg & data rates may apply" in text("help", "en", country=country)) is shown
    assert "Msg & data rates" not in text("confirmation", "en", country=country)


@pytest.mark.parametrize("language", LANGUAGES)
def test_help_names_the_contact(language: str) -> None:
    assert "help@acme.example" in text("help", language)
    assert text("help", language, country="US") != text("help", language)


def test_the_scopes_differ() -> None:
    for language in LANGUAGES:
        assert len({text("confirmation", language, scope=scope) for scope in SCOPES}) == 3


def test_german_has_its_umlauts() -> None:
    assert "Zurück" in text("confirmation", "de", program="Ж" * 30)


@pytest.mark.parametrize("given", [("confirmation", "xx"), ("advert", "en"), ("confirmation", "../en")], ids=str)
def test_unknown_wording_is_an_error(given: tuple[str, str]) -> None:
    with pytest.raises(KeyError):
        text(*given)
    assert given[0] not in KINDS or given[1] not in LANGUAGES


def test_an_unknown_scope_is_an_error() -> None:
    with pytest.raises(KeyError):
        text("confirmation", "en", scope="everything")


@pytest.mark.parametrize(
    ("read", "number", "program", "expected"),
    [
        # The country decides for the words that are written everywhere
        ("en", "+4915123456789", "en", "de"),
        (None, "+4915123456789", "en", "de"),
        (None, "+436601234567", "en", "de"),
        (None, "+423660123456", "en", "de"),
        (None, "+41781234567", "en", "de"),
        (None, "+33612345678", "en", "fr"),
        (None, "+590690123456", "en", "fr"),
        (None, "+352628123456", "en", "fr"),
        (None, "+37761234567", "en", "fr"),
        (None, "+32470123456", "en", "fr"),
        (None, "+34612345678", "en", "es"),
        (None, "+525512345678", "en", "es"),
        (None, "+5491123456789", "en", "es"),
        (None, "+13035550123", "de", "en"),
        (None, "+17875550123", "de", "es"),
        (None, "+447400123456", "de", "en"),
        (None, "+14165550123", "de", "en"),
        (None, "+15145550123", "en", "fr"),
        # Her own words
        ("fr", "+15145550123", "en", "fr"),
        ("en", "+15145550123", "en", "fr"),
        ("en", "+17875550123", "de", "es"),
        ("fr", "+4915123456789", "de", "fr"),
        ("de", "+33612345678", "en", "de"),
        ("es", "+13035550123", "en", "es"),
        ("en", "+13035550123", "de", "en"),
        # STOP is read as the program's language by default, which says nothing about an American
        ("de", "+13035550123", "de", "en"),
        # A language we do not write
        ("pl", "+4915123456789", "en", "de"),
        # The program's language where several are spoken
        (None, "+32470123456", "de", "de"),
        (None, "+32470123456", "fr", "fr"),
        (None, "+41781234567", "fr", "fr"),
        (None, "+13035550123", "es", "es"),
        # Nothing of ours is spoken there
        (None, "+48512345678", "de", "de"),
        (None, "+48512345678", "pl", "en"),
        (None, "+819012345678", "fr", "fr"),
        (None, "+15551234567", None, "en"),
        ("es", "+15551234567", "en", "es"),
    ],
)
def test_language_for(read: str | None, number: str, program: str | None, expected: str) -> None:
    place = place_of(number)
    assert language_for(read, place, rules_at(place, NOW), program) == expected
