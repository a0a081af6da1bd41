"""Loads and checks the words: vocabulary/*.toml, one file per language.

A file has `language` (ISO 639; "zxx" for signs of no language) and `words`, one entry a line:

    word        as people write it; it matches in canonical form, as a whole text only
    intent      opt_out, opt_out_all, opt_in, help or complaint
    source      where the word was read, or what stands behind it
    confidence  "read" (in the source) or "recalled" (general knowledge)
    scope       program, marketing or all, where the word itself says it
    needs       "context": an ordinary word elsewhere, it counts only in a country of its language, for a
                person of its language or when advertised; "advertised": counts only with an advertised word
    unsure      true: an ordinary answer in its own language too ("no"), so a human looks unless advertised

and, all optional, `fillers` (politeness around a word), `signatures` and `tapbacks` (what phones add; "*"
stands for anything), `not_names` (words that end a text but sign nothing), `spelt_out` (letters people write
as two).
"""

import hashlib
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from keywords.normalise import normalise, skeleton
from keywords.reading import Intent, Scope

DATA = Path(__file__).parent / "vocabulary"
COUNTRIES = Path(__file__).parent / "countries.toml"

NO_LANGUAGE = "zxx"

# In a tie the opt-out wins: to be silenced by mistake can be undone, a text after an opt-out cannot.
_PRECEDENCE = {
    Intent.OPT_OUT_ALL: 0, Intent.OPT_OUT: 1, Intent.COMPLAINT: 2, Intent.HELP: 3, Intent.OPT_IN: 4,
}  # fmt: skip

# Whose word it is when nothing is known of the person: the languages most people write.
_SPREAD = {
    language: place for place, language in enumerate(("en", "es", "zh-Hans", "hi", "ar", "fr", "ru", "pt", "de"))
}

# All alphabets and styled letters, so that the first text in one is as fast as the second: 20 ms here instead
# of up to 2 ms there.
_ALPHABETS = "".join(
    chr(code)
    for first, end in ((0x80, 0x3400), (0xF900, 0x10000), (0x1D400, 0x1D800), (0x1F000, 0x1FB00))
    for code in range(first, end)
)

_ALLOWED: dict[str, frozenset[Any]] = {
    "intent": frozenset(intent.value for intent in Intent) - {"other"},
    "confidence": frozenset({"read", "recalled"}),
    "scope": frozenset({"program", "marketing", "all"}),
    "needs": frozenset({"context", "advertised"}),
    "unsure": frozenset({True}),
}
_REQUIRED = ("word", "intent", "source", "confidence")
_FILE_KEYS = frozenset({"language", "words", "fillers", "signatures", "tapbacks", "not_names", "spelt_out"})


class VocabularyError(ValueError):
    """A data file is wrong; the message names file, row and key. Not for retrying: the package is broken."""

    def __init__(self, file: str, row: int | None, key: str, problem: str) -> None:
        place = f"{file}, words row {row}" if row else file
        super().__init__(f"{place}, {key}: {problem}")


@dataclass(frozen=True, slots=True)
class Entry:
    """One word of one language; `word` is canonical."""

    word: str
    language: str
    intent: Intent
    source: str
    confidence: str
    scope: Scope | None = None
    needs: str | None = None
    unsure: bool = False

    @property
    def rule(self) -> str:
        return f"keyword:{self.language}:{self.word}"


@dataclass(frozen=True, slots=True)
class Pattern:
    """Canonical words with one gap of any length; without a gap `tail` is None."""

    head: tuple[str, ...]
    tail: tuple[str, ...] | None

    def matches(self, words: list[str], start: int) -> bool:
        """Whether `words` from `start` to their end are this pattern."""
        after = start + len(self.head)
        if tuple(words[start:after]) != self.head:
            return False
        if self.tail is None:
            return after == len(words)
        end = len(words) - len(self.tail)
        return end >= after and tuple(words[end:]) == self.tail


Patterns = Mapping[str, tuple[Pattern, ...]]


@dataclass(frozen=True, slots=True)
class Senses:
    """What one spelling means: in each language that has it, and where nothing is known of the person."""

    at_home: Mapping[str, Entry]
    anywhere: Entry | None


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """All languages together. `by_word` leads from a canonical spelling, `by_look` from its skeleton."""

    by_word: Mapping[str, Senses]
    by_look: Mapping[str, Senses]
    fillers: frozenset[tuple[str, ...]]
    filler_sizes: tuple[int, ...]
    signatures: Patterns
    tapbacks: Patterns
    not_names: frozenset[str]


@cache
def vocabulary() -> Vocabulary:
    """The packaged vocabulary, read once."""
    normalise(_ALPHABETS)
    return load(DATA)


def load(folder: Path) -> Vocabulary:
    """Reads every *.toml of `folder`; raises VocabularyError on the first thing that is wrong."""
    files = [_read(path) for path in sorted(folder.glob("*.toml"))]
    fillers = frozenset(tuple(text.split()) for file in files for text in file.canonical("fillers"))
    entries = [spelt for file in files for spelt in file.entries()]
    return Vocabulary(
        by_word=_senses(entries),
        by_look=_senses((skeleton(word), entry) for word, entry in entries),
        fillers=fillers,
        filler_sizes=tuple(sorted({len(filler) for filler in fillers}, reverse=True)),
        signatures=_patterns(files, "signatures"),
        tapbacks=_patterns(files, "tapbacks"),
        not_names=frozenset(word for file in files for word in file.canonical("not_names")),
    )


def version(folder: Path = DATA, countries: Path = COUNTRIES) -> str:
    """12 hexadecimal digits over the data files, the same on every machine (line ends do not count)."""
    digest = hashlib.sha256()
    for path in [*sorted(folder.glob("*.toml")), countries]:
        digest.update(path.name.encode() + b"\n" + path.read_bytes().replace(b"\r\n", b"\n"))
    return digest.hexdigest()[:12]


@cache
def countries() -> Mapping[str, tuple[str, ...]]:
    """ISO 3166 country → languages of the vocabulary spoken there, the likeliest first."""
    table = tomllib.loads(COUNTRIES.read_text(encoding="utf-8"))
    return {country: tuple(languages) for country, languages in table.items()}


@dataclass(frozen=True, slots=True)
class _File:
    name: str
    content: Mapping[str, Any]

    @property
    def language(self) -> str:
        return str(self.content["language"])

    def entries(self) -> Iterator[tuple[str, Entry]]:
        """(canonical spelling, entry); a word with a letter that people spell out comes twice."""
        seen: dict[str, int] = {}
        for row, raw in enumerate(self.content["words"], start=1):
            _check_row(self.name, row, raw)
            entry = _entry(self.language, raw)
            if entry.word in seen:
                raise VocabularyError(self.name, row, "word", f"the same as row {seen[entry.word]}")
            seen[entry.word] = row
            for spelling in self._spellings(raw["word"]):
                yield spelling, entry

    def canonical(self, key: str) -> Iterator[str]:
        for text in self.content.get(key, ()):
            yield from self._spellings(text)

    def _spellings(self, text: str) -> Iterable[str]:
        spelt = text.lower()
        for letter, letters in self.content.get("spelt_out", {}).items():
            spelt = spelt.replace(letter, letters)
        return dict.fromkeys((normalise(text), normalise(spelt)))


def _read(path: Path) -> _File:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise VocabularyError(path.name, None, "file", str(error)) from error
    unknown = content.keys() - _FILE_KEYS
    if unknown:
        raise VocabularyError(path.name, None, min(unknown), "no such key")
    if content.get("language") != path.stem:
        raise VocabularyError(path.name, None, "language", f"must be {path.stem!r}, the file's name")
    if not isinstance(content.get("words"), list):
        raise VocabularyError(path.name, None, "words", "must be a list of entries")
    return _File(path.name, content)


def _check_row(file: str, row: int, raw: Any) -> None:
    if not isinstance(raw, dict):
        raise VocabularyError(file, row, "entry", "must be a table with word, intent, source, confidence")
    for key in _REQUIRED:
        if not raw.get(key):
            raise VocabularyError(file, row, key, "is missing")
    for key, value in raw.items():
        if key in _ALLOWED and value not in _ALLOWED[key]:
            raise VocabularyError(file, row, key, f"{value!r} is none of {sorted(_ALLOWED[key])}")
        if key not in _ALLOWED and key not in _REQUIRED:
            raise VocabularyError(file, row, key, "no such key")
    if not normalise(raw["word"]):
        raise VocabularyError(file, row, "word", f"{raw['word']!r} has no letter, digit or sign")


def _entry(language: str, raw: Mapping[str, Any]) -> Entry:
    fields = {**raw, "word": normalise(raw["word"]), "intent": Intent(raw["intent"])}
    return Entry(language=language, **fields)


def _senses(entries: Iterable[tuple[str, Entry]]) -> Mapping[str, Senses]:
    groups: defaultdict[str, dict[str, Entry]] = defaultdict(dict)
    for word, entry in entries:
        groups[word].setdefault(entry.language, entry)
    return {word: Senses(group, _anywhere(group.values())) for word, group in groups.items()}


def _anywhere(entries: Iterable[Entry]) -> Entry | None:
    return min((entry for entry in entries if entry.needs is None), key=_wide_rank, default=None)


def _wide_rank(entry: Entry) -> tuple[int, bool, int, str]:
    return *rank(entry), _SPREAD.get(entry.language, len(_SPREAD)), entry.language


def rank(entry: Entry) -> tuple[int, bool]:
    """The lowest wins where a word means several things at once."""
    return _PRECEDENCE[entry.intent], entry.unsure


def _patterns(files: Iterable[_File], key: str) -> Patterns:
    groups: defaultdict[str, list[Pattern]] = defaultdict(list)
    for text in (text for file in files for text in file.content.get(key, ())):
        head, gap, tail = text.partition("*")
        pattern = Pattern(tuple(normalise(head).split()), tuple(normalise(tail).split()) if gap else None)
        groups[pattern.head[0]].append(pattern)
    return {first: tuple(group) for first, group in groups.items()}
