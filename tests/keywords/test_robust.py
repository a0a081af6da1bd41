"""What holds for every text, and how seldom ordinary texts are taken for an opt-out."""

import json
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from keywords import Certainty, Intent, Reading, classify
from keywords.vocabulary import countries, vocabulary

CORPORA = Path(__file__).parents[3] / "shared" / "corpora"

INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\u00ad\u200e\u200f\u202a\u202e\u2066\u2069\ufe0f"
WIDE = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}

WORDS = sorted(word for word in vocabulary().by_word if word.isascii())
TEXTS = st.one_of(
    st.sampled_from(WORDS),
    st.sampled_from(
        ["please stop by tonight", "stop it", "Yes I'm coming", "bitte stop", "stop\nMaria", "no news"]
    ),
    st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=30),
)
COUNTRIES = st.sampled_from([None, *countries()])


def verdict(reading: Reading) -> tuple[object, ...]:
    return reading.intent, reading.certainty, reading.scope, reading.language, reading.rule, reading.normalised


@given(TEXTS, COUNTRIES)
def test_case_never_changes_a_verdict(text: str, country: str | None) -> None:
    lower, upper = classify(text.lower(), country=country), classify(text.upper(), country=country)
    # A line below counts as a name by its capital letter: there, and only there, case is what tells.
    if "\n" not in text:
        assert verdict(lower) == verdict(upper) == verdict(classify(text, country=country))


@given(TEXTS, COUNTRIES)
def test_width_never_changes_a_verdict(text: str, country: str | None) -> None:
    assert verdict(classify(text.translate(WIDE), country=country)) == verdict(classify(text, country=country))


@example("stop\nMaria", None, [(5, "\u200b")])
@given(TEXTS, COUNTRIES, st.lists(st.tuples(st.integers(0, 40), st.sampled_from(INVISIBLE)), max_size=8))
def test_what_cannot_be_seen_never_changes_a_verdict(
    text: str, country: str | None, hidden: list[tuple[int, str]]
) -> None:
    strewn = text
    for position, char in hidden:
        strewn = strewn[:position] + char + strewn[position:]
    assert verdict(classify(strewn, country=country)) == verdict(classify(text, country=country))


@given(
    st.text(max_size=300), COUNTRIES, st.lists(st.text(max_size=10), max_size=3), st.lists(st.text(), max_size=3)
)
@example("\ufdfa" * 1600, "EG", [], [])
@example("\ud800stop", None, [], [])
@example("“", None, [], [])
@example("\n\n--\n", None, [], [])
def test_every_text_gets_a_reading(
    text: str, country: str | None, languages: list[str], advertised: list[str]
) -> None:
    reading = classify(text, country=country, languages=languages, advertised=advertised)
    assert (reading.span is None) == (reading.intent is Intent.OTHER)
    if reading.span is not None:
        start, end = reading.span
        assert 0 <= start < end <= len(text)


@given(st.text(max_size=60), COUNTRIES)
def test_the_same_text_gets_the_same_reading(text: str, country: str | None) -> None:
    assert classify(text, country=country) == classify(text, country=country)


@given(st.sampled_from(WORDS), COUNTRIES)
def test_the_span_is_the_word_that_decided(word: str, country: str | None) -> None:
    text = f"  »{word}«!\n"
    reading = classify(text, country=country)
    if reading.span is not None:
        assert text[slice(*reading.span)] == word


@pytest.mark.parametrize(
    ("corpus", "country"),
    [("uci", "GB"), ("uci", "SG"), ("uci", "US"), ("turkish", "TR"), ("indonesian", "ID")],
)
def test_ordinary_texts_are_seldom_silenced(corpus: str, country: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = CORPORA / f"{corpus}_sms.jsonl"
    if not path.exists():
        pytest.skip("the corpora of ordinary texts are not beside the repository")
    with path.open(encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    readings = [classify(text, country=country) for text in texts]
    outs = [reading for reading in readings if reading.intent in (Intent.OPT_OUT, Intent.OPT_OUT_ALL)]
    certain = sum(reading.certainty is Certainty.CERTAIN for reading in outs)
    with capsys.disabled():
        print(f"\n{corpus} in {country}: {certain} silenced, {len(outs) - certain} to review of {len(texts)}")
    assert len(texts) > 1000
    assert certain <= len(texts) / 5000
    assert len(outs) - certain <= len(texts) / 200
