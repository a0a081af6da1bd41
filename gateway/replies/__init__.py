"""The automatic texts we answer with: wording as data (`wording/XX.toml`), chosen and filled in here.

Keys of a wording file: `rates`, what North America's carriers want in a help text on costs and frequency;
`[confirmation]` with one text per scope (`program`, `marketing`, `all`); `[confirmation_offer]`, which also
offers to stay after the opt-out has taken effect, `[help]` and `[welcome_back]` with one `text`; in each
table `short`, for when the long one does not fit into one segment. Nothing but the program's own name and
contact is ever filled in, so that no stranger's words are sent on.
"""

import tomllib
from functools import cache
from importlib import resources
from typing import Any

from gateway.phone import Place
from gateway.regions import Rules
from gateway.segments import fits_one

LANGUAGES = ("en", "de", "fr", "es")
KINDS = ("confirmation", "confirmation_offer", "help", "welcome_back")

# CTIA's short-code rules; the carriers of Canada and the territories apply the same ones.
_RATES_COUNTRIES = frozenset({"US", "PR", "VI", "GU", "MP", "AS", "CA"})
# Charter of the French Language: French comes first there whatever the program's language is.
_FRENCH_FIRST = "CA-QC"
# For countries the rule packs do not know yet.
_SPANISH = "AR BO CL CO CR CU DO EC GQ GT HN MX NI PA PE PY SV UY VE"
_FRENCH = "BF BI BJ BL CD CF CG CI CM GA GN HT MC MG ML NC NE PF PM SN TD TG WF"
_SPOKEN = {"es": frozenset(_SPANISH.split()), "fr": frozenset(_FRENCH.split())}


def render(kind: str, language: str, *, program: str, contact: str, country: str, scope: str = "program") -> str:
    """The text of one automatic answer.

    `kind` is one of KINDS, `language` one of LANGUAGES, `scope` (program, marketing, all) what a
    confirmation confirms, `country` the recipient's. The short wording is taken where only that fits one
    segment: long names, or names outside GSM-7. Raises KeyError for an unknown kind, language or scope.
    """
    wording = _wording(language)
    long = wording[kind][scope if kind == "confirmation" else "text"]
    rates = f" {wording['rates']}" if kind == "help" and country in _RATES_COUNTRIES else ""
    names = {"program": " ".join(program.split()), "contact": " ".join(contact.split())}
    texts: list[str] = [template.format(**names) + rates for template in (long, wording[kind]["short"])]
    return next((text for text in texts if fits_one(text)), texts[0])


def language_for(reading_language: str | None, place: Place, rules: Rules, program_language: str | None) -> str:
    """The language, one of LANGUAGES, that a recipient most likely reads.

    First the language of her own words where it says something: English does not (STOP and HELP are
    written everywhere), nor does the program's own where nobody speaks it (a word of many languages is
    read as that). Then the program's language if spoken there, then what is spoken there, then the
    program's language, then English. `rules` are those of `place`.
    """
    spoken = _spoken(place, rules)
    telling = {*LANGUAGES} - {"en", program_language} | {*spoken} - {"en"}
    if reading_language in telling:
        return str(reading_language)
    if program_language in spoken and place.subdivision != _FRENCH_FIRST:
        return str(program_language)
    if spoken:
        return spoken[0]
    return str(program_language) if program_language in LANGUAGES else "en"


def _spoken(place: Place, rules: Rules) -> list[str]:
    """Those of our languages that are spoken in a place, the likeliest first."""
    if rules.explain["languages"] == ("ZZ",):
        return [language for language, countries in _SPOKEN.items() if place.country in countries]
    return [language for language in rules.languages if language in LANGUAGES]


@cache
def _wording(language: str) -> dict[str, Any]:
    if language not in LANGUAGES:
        raise KeyError(language)
    file = resources.files("gateway.replies").joinpath("wording", f"{language}.toml")
    return tomllib.loads(file.read_text("utf-8"))
