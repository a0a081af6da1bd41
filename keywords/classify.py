"""The decision: what a reply means.

The stages are asked in order and the first that has an answer gives it. A stage takes a `_Heard` and returns
a Reading or None.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from keywords.context import Context, context_of
from keywords.normalise import letters_in, locate, skeleton, words_of
from keywords.reading import Certainty, Intent, Reading, Scope
from keywords.vocabulary import NO_LANGUAGE, Entry, Senses, Vocabulary, rank, vocabulary
from keywords.wrapping import bodies, core, is_tapback

# Characters; the longest entry has 28, an advertised word with its keyword is not longer than a segment.
_LONGEST_KEYWORD = 160

_STRETCHED = re.compile(r"(\w)\1{2,}")


@dataclass(frozen=True, slots=True)
class _Heard:
    text: str
    words: list[str]
    context: Context
    vocabulary: Vocabulary


@dataclass(frozen=True, slots=True)
class _Found:
    """A meaning without its place in the text."""

    intent: Intent
    certainty: Certainty
    scope: Scope | None
    language: str | None
    rule: str


def classify(
    text: str,
    *,
    country: str | None = None,
    languages: Iterable[str] = (),
    advertised: Iterable[str] = (),
) -> Reading:
    """What the reply `text` means. Pure; never raises on any text.

    `country` (ISO 3166) is where the number belongs, `languages` (BCP 47) are the person's own as far as
    known, `advertised` are the opt-out words that the program's own texts offered ("RET", "11", "NEWS").
    Keywords count only as a whole text (47 CFR 64.1200(a)(10) names the words, CTIA 5.1.3 that case and
    punctuation must not matter).
    """
    heard = _Heard(text, words_of(text), context_of(country, languages, advertised), vocabulary())
    for stage in _STAGES:
        reading = stage(heard)
        if reading is not None:
            return reading
    return _other(heard, "none")


def _other(heard: _Heard, rule: str) -> Reading:
    return Reading(Intent.OTHER, Certainty.CERTAIN, None, None, rule, None, " ".join(heard.words))


def _tapback(heard: _Heard) -> Reading | None:
    return _other(heard, "tapback") if is_tapback(heard.text, heard.vocabulary) else None


def _keyword(heard: _Heard) -> Reading | None:
    for body in bodies(heard.text, heard.words, heard.vocabulary):
        for first, last in dict.fromkeys([(0, len(body)), core(body, heard.vocabulary)]):
            found = _meaning(body[first:last], heard)
            if found is not None:
                return _reading(heard, found, body, first, last)
    return None


_STAGES = (_tapback, _keyword)


def _reading(heard: _Heard, found: _Found, body: list[str], first: int, last: int) -> Reading:
    span = locate(heard.text, letters_in(body[:first]), letters_in(body[first:last]))
    return Reading(
        found.intent, found.certainty, found.scope, found.language, found.rule, span, " ".join(heard.words)
    )


def _meaning(words: list[str], heard: _Heard) -> _Found | None:
    for form in _forms(words):
        found = _advertised(form, heard) or _known(form, heard) or _beside_advertised(form, heard)
        if found is not None:
            return found
    return None


def _forms(words: list[str]) -> Iterator[str]:
    """The words said once ("stop stop"), as written and without the stretching of "stoppp"."""
    said_once = words[:1] if len(set(words)) == 1 else words
    whole = " ".join(said_once)
    if len(whole) > _LONGEST_KEYWORD:
        return
    yield whole
    if _STRETCHED.search(whole):
        for kept in (r"\1\1", r"\1"):
            form = _STRETCHED.sub(kept, whole)
            # "xxx" are kisses and "1111" is a number: only a word can be stretched.
            if len(form) > 1 and not form.isdecimal():
                yield form


def _known(form: str, heard: _Heard) -> _Found | None:
    entry = _sense(heard.vocabulary.by_word.get(form), heard.context)
    if entry is None and not form.isascii():
        entry = _sense(heard.vocabulary.by_look.get(skeleton(form)), heard.context)
    if entry is None:
        return None
    certainty = Certainty.UNSURE if entry.unsure else Certainty.CERTAIN
    return _Found(entry.intent, certainty, entry.scope, _language(entry), entry.rule)


def _sense(senses: Senses | None, context: Context) -> Entry | None:
    return (_at_home(senses, context) or senses.anywhere) if senses else None


def _at_home(senses: Senses, context: Context) -> Entry | None:
    """The sense in the languages spoken here; between equals the likeliest language has it."""
    found = (senses.at_home.get(language) for language in context.languages)
    return min((entry for entry in found if entry and entry.needs != "advertised"), key=rank, default=None)


def _language(entry: Entry) -> str | None:
    return None if entry.language == NO_LANGUAGE else entry.language


def _advertised(form: str, heard: _Heard) -> _Found | None:
    """The text is an advertised word; being advertised is all the context that one needs."""
    if form not in heard.context.advertised:
        return None
    entry = min(_offered(form, heard), key=rank, default=None)
    if entry is None:
        return _Found(Intent.OPT_OUT, Certainty.CERTAIN, "program", None, f"advertised:{form}")
    return _Found(entry.intent, Certainty.CERTAIN, entry.scope, _language(entry), entry.rule)


def _beside_advertised(form: str, heard: _Heard) -> _Found | None:
    """The text is an advertised word with a keyword ("STOP NEWS", "KLIKSA RET", "NEWS OFF")."""
    for word in heard.context.advertised:
        # Not with an ordinary answer: "no news" is good news.
        entries = [entry for entry in _offered(_beside(word, form), heard) if not entry.unsure]
        if entries:
            entry = min(entries, key=rank)
            scope = entry.scope or "program"
            return _Found(entry.intent, Certainty.CERTAIN, scope, _language(entry), f"advertised:{form}")
    return None


def _beside(word: str, form: str) -> str:
    """What stands before or after `word` in `form`; "" when `word` is at neither edge."""
    if form.startswith(f"{word} "):
        return form[len(word) + 1 :]
    return form[: -len(word) - 1] if form.endswith(f" {word}") else ""


def _offered(word: str, heard: _Heard) -> list[Entry]:
    """Every sense of `word`, the languages spoken here before the others."""
    senses = heard.vocabulary.by_word.get(word)
    if senses is None:
        return []
    spoken = [senses.at_home[language] for language in heard.context.languages if language in senses.at_home]
    anywhere = [senses.anywhere] if senses.anywhere else []
    return [*spoken, *anywhere, *senses.at_home.values()]
