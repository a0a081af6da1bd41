"""Every keyword of the research is in the vocabulary and is read as what the research says."""

import csv
from pathlib import Path

import pytest

from keywords import Intent, classify

CSV = Path(__file__).parents[2].parent / "shared" / "keywords" / "keywords.csv"
INTENTS = {
    "opt_out": {Intent.OPT_OUT, Intent.OPT_OUT_ALL},
    "opt_in": {Intent.OPT_IN},
    "help": {Intent.HELP},
}
# Anger without a wish to leave is for a human.
INSULTS = {"f**k you", "shut up", "eff off", "fuck you", "fuck off"}
# "alto" is Spanish; the English list it came from serves Spanish speakers.
SPANISH = {"alto"}


def rows() -> list[tuple[str, str, str]]:
    if not CSV.exists():
        return []
    with CSV.open(encoding="utf-8", newline="") as stream:
        return [(row["language"], row["intent"], row["keyword"]) for row in csv.DictReader(stream)]


def intent_of(language: str, keyword: str) -> Intent:
    """As read in its own language; a template with a brand that the text advertised."""
    for template in ("<BRAND>", "<KEYWORD>", "<SENDER>"):
        if template in keyword:
            brand = keyword.replace(template, "KLIKSA")
            return classify(brand, languages=(language,), advertised=("KLIKSA",)).intent
    return classify(keyword, languages=("es" if keyword in SPANISH else language,)).intent


def test_every_keyword_is_read_as_researched() -> None:
    if not CSV.exists():
        pytest.skip("../shared is not there")
    wrong = [
        (language, keyword, intent, intent_of(language, keyword))
        for language, intent, keyword in rows()
        if keyword.lower() not in INSULTS and intent_of(language, keyword) not in INTENTS[intent]
    ]
    assert wrong == []
    assert len(rows()) == 1169
