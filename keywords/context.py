"""Which languages and which advertised words surround a reply."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from keywords.normalise import normalise
from keywords.vocabulary import countries

_SAME = {
    "fil": "tl", "no": "nb", "nn": "nb", "iw": "he", "in": "id", "bs": "hr",
    "zh": "zh-Hans", "yue": "zh-Hant",
}  # fmt: skip
_TRADITIONAL = frozenset({"hant", "tw", "hk", "mo"})


@dataclass(frozen=True, slots=True)
class Context:
    """`languages` of the vocabulary, the person's own before her country's; `advertised` canonical."""

    languages: tuple[str, ...]
    advertised: tuple[str, ...]


def context_of(country: str | None, languages: Iterable[str], advertised: Iterable[str]) -> Context:
    """`country` is ISO 3166 or None, `languages` BCP 47 tags; unknown ones add nothing."""
    return _context(country or "", tuple(languages), tuple(advertised))


@lru_cache(maxsize=4096)
def _context(country: str, languages: tuple[str, ...], advertised: tuple[str, ...]) -> Context:
    own = [_of_tag(tag) for tag in languages if tag]
    spoken = countries().get(country.upper(), ())
    words = (normalise(word) for word in advertised)
    return Context(tuple(dict.fromkeys([*own, *spoken])), tuple(dict.fromkeys(filter(None, words))))


def _of_tag(tag: str) -> str:
    primary, *subtags = tag.replace("_", "-").lower().split("-")
    if primary == "zh" and not _TRADITIONAL.isdisjoint(subtags):
        return "zh-Hant"
    return _SAME.get(primary, primary)
