import pytest

from gateway.links import ALPHABET, TOKEN_LENGTH, append, find_token, is_token, new_token, short_link
from gateway.segments import GSM7_BASIC

LINK = "https://o.example"
PUBLIC = "https://optout.example"
TOKEN = "34679ADEFG"


def test_the_alphabet_has_no_look_alikes() -> None:
    assert len(set(ALPHABET)) == len(ALPHABET) == 38
    assert not set("0Oo1lIi2Zz5Ss8B") & set(ALPHABET)


@pytest.mark.parametrize("letter", "ckpuvwxyj")
def test_a_letter_of_one_shape_is_there_once(letter: str) -> None:
    assert letter in ALPHABET
    assert letter.upper() not in ALPHABET


def test_every_character_is_one_septet() -> None:
    assert set(ALPHABET) <= GSM7_BASIC


def test_a_million_guesses_against_a_hundred_million_links_hit_nothing() -> None:
    expected_hits = 10**6 * 10**8 / len(ALPHABET) ** TOKEN_LENGTH
    assert expected_hits <= 0.02
    assert TOKEN_LENGTH <= 10


def test_new_tokens_are_tokens_and_differ() -> None:
    tokens = {new_token() for _ in range(2000)}
    assert len(tokens) == 2000
    assert all(is_token(token) for token in tokens)
    assert {char for token in tokens for char in token} == set(ALPHABET)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (TOKEN, True),
        (TOKEN[:-1], False),
        (TOKEN + "a", False),
        (TOKEN[:-1] + "0", False),
        (TOKEN[:-1] + "C", False),
        (TOKEN + "\n", False),
        ("", False),
    ],
)
def test_is_token(text: str, expected: bool) -> None:
    assert is_token(text) is expected


@pytest.mark.parametrize(
    ("link_url", "public_url", "expected"),
    [
        (LINK, PUBLIC, f"{LINK}/{TOKEN}"),
        (LINK + "/", PUBLIC, f"{LINK}/{TOKEN}"),
        (None, PUBLIC, f"{PUBLIC}/u/{TOKEN}"),
        ("", PUBLIC, f"{PUBLIC}/u/{TOKEN}"),
        (None, PUBLIC + "/", f"{PUBLIC}/u/{TOKEN}"),
        (None, "http://localhost:8000/base", f"http://localhost:8000/base/u/{TOKEN}"),
    ],
)
def test_short_link(link_url: str | None, public_url: str, expected: str) -> None:
    assert short_link(TOKEN, link_url=link_url, public_url=public_url) == expected


@pytest.mark.parametrize(
    ("text", "link_url", "expected"),
    [
        (f"Sale!\nOpt out: {LINK}/{TOKEN}", LINK, TOKEN),
        (f"Opt out: {LINK}/{TOKEN}.", LINK, TOKEN),
        (f"Opt out: {PUBLIC}/u/{TOKEN}", None, TOKEN),
        # Sent before the short domain was set up.
        (f"Opt out: {PUBLIC}/u/{TOKEN}", LINK, TOKEN),
        # The suffix is ours, what stands before it may be quoted.
        (f"{LINK}/{TOKEN[::-1]} {LINK}/{TOKEN}", LINK, TOKEN),
        (f"Opt out: {LINK}/{TOKEN}a", LINK, None),
        (f"Opt out: {LINK}/{TOKEN[:-1]}", LINK, None),
        (f"Opt out: https://other.example/{TOKEN}", LINK, None),
        (f"Opt out: https://oXexample/{TOKEN}", LINK, None),
        (f"Opt out: {PUBLIC}/{TOKEN}", None, None),
        (TOKEN, LINK, None),
        ("", LINK, None),
    ],
)
def test_find_token(text: str, link_url: str | None, expected: str | None) -> None:
    assert find_token(text, link_url=link_url, public_url=PUBLIC) == expected


@pytest.mark.parametrize(
    ("language", "suffix"),
    [
        ("de", "Abmelden: L"),
        ("en", "Opt out: L"),
        ("fr", "Stop: L"),
        ("es", "Baja: L"),
        ("xx", "Opt out: L"),
    ],
)
def test_append(language: str, suffix: str) -> None:
    assert append("Sale!", "L", language) == f"Sale!\n{suffix}"
    assert append("Sale! \n", "L", language) == f"Sale!\n{suffix}"
    assert append("", "L", language) == suffix


@pytest.mark.parametrize("language", ["de", "en", "fr", "es"])
@pytest.mark.parametrize("link_url", [LINK, None])
def test_what_is_appended_is_found_again(language: str, link_url: str | None) -> None:
    token = new_token()
    text = append("Sale!", short_link(token, link_url=link_url, public_url=PUBLIC), language)
    assert find_token(text, link_url=link_url, public_url=PUBLIC) == token
