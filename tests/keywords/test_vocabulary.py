import re
import tomllib
from pathlib import Path

import pytest

import keywords
from keywords import Intent, VocabularyError
from keywords.context import context_of
from keywords.normalise import normalise
from keywords.vocabulary import COUNTRIES, DATA, Pattern, countries, load, version, vocabulary

GOOD = '{ word = "STOP", intent = "opt_out", confidence = "read", source = "somewhere" }'


def write(folder: Path, language: str, *rows: str, head: str = "") -> Path:
    text = f'language = "{language}"\n{head}\nwords = [\n' + ",\n".join(rows) + "\n]\n"
    (folder / f"{language}.toml").write_text(text, encoding="utf-8")
    return folder


def test_every_entry_names_source_and_confidence() -> None:
    for path in DATA.glob("*.toml"):
        for row in tomllib.loads(path.read_text(encoding="utf-8"))["words"]:
            assert row["source"].strip(), (path.name, row)
            assert row["confidence"] in {"read", "recalled"}, (path.name, row)


def test_what_is_only_recalled_says_so_in_its_source() -> None:
    told = re.compile(r"recalled|general language knowledge|opt-out set asked for")
    for senses in vocabulary().by_word.values():
        for entry in senses.at_home.values():
            assert entry.confidence == "read" or told.search(entry.source), entry


def test_seventy_four_languages_and_the_signs() -> None:
    files = {path.stem for path in DATA.glob("*.toml")}
    assert len(files) == 75
    assert {"en", "de", "fr", "es", "zh-Hans", "zh-Hant", "zxx"} <= files


def test_of_single_letters_only_the_signs_count_everywhere() -> None:
    short = {word for word, senses in vocabulary().by_word.items() if len(word) == 1 and senses.anywhere}
    assert short == {"🛑", "✋", "🚫"}


def test_spelt_out_letters_lead_to_the_same_entry() -> None:
    words = vocabulary().by_word
    assert words["kuendigen"].at_home["de"] is words["kundigen"].at_home["de"]
    assert words["loeschen"].at_home["de"].rule == "keyword:de:loschen"


def test_version_is_short_and_depends_on_the_data_only(tmp_path: Path) -> None:
    assert re.fullmatch(r"[0-9a-f]{12}", keywords.vocabulary_version)
    one = version(write(tmp_path, "en", GOOD), COUNTRIES)
    path = tmp_path / "en.toml"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert version(tmp_path, COUNTRIES) == one
    path.write_bytes(path.read_bytes().replace(b"STOP", b"STOPP"))
    assert version(tmp_path, COUNTRIES) != one


def test_load_reads_a_folder(tmp_path: Path) -> None:
    row = '{ word = "Tschüss", intent = "opt_out", confidence = "recalled", source = "test", needs = "context" }'
    loaded = load(write(tmp_path, "de", row, head='spelt_out = { "ü" = "ue" }\nfillers = ["für mich"]'))
    assert set(loaded.by_word) == {"tschuss", "tschuess"}
    assert loaded.by_word["tschuss"].anywhere is None
    assert loaded.by_word["tschuss"].at_home["de"].intent is Intent.OPT_OUT
    assert loaded.fillers == {("fur", "mich"), ("fuer", "mich")}


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ('{ intent = "opt_out", confidence = "read", source = "x" }', "row 2, word: is missing"),
        ('{ word = "A", intent = "opt_out", confidence = "read", source = "" }', "row 2, source: is missing"),
        ('{ word = "A", intent = "out", confidence = "read", source = "x" }', "row 2, intent: 'out' is none of"),
        ('{ word = "A", intent = "other", confidence = "read", source = "x" }', "row 2, intent: 'other' is none"),
        ('{ word = "A", intent = "help", confidence = "sure", source = "x" }', "row 2, confidence: 'sure'"),
        (
            '{ word = "A", intent = "help", confidence = "read", source = "x", needs = "luck" }',
            "row 2, needs: 'luck' is none of ['advertised', 'context']",
        ),
        (
            '{ word = "A", intent = "help", confidence = "read", source = "x", scope = "some" }',
            "row 2, scope: 'some'",
        ),
        (
            '{ word = "A", intent = "help", confidence = "read", source = "x", scpe = "all" }',
            "row 2, scpe: no such key",
        ),
        ('{ word = "?!", intent = "help", confidence = "read", source = "x" }', "row 2, word: '?!' has no letter"),
        (
            '{ word = "stop!", intent = "help", confidence = "read", source = "x" }',
            "row 2, word: the same as row 1",
        ),
        ('"STOP"', "row 2, entry: must be a table"),
    ],
)
def test_a_bad_row_is_named_with_file_row_and_key(tmp_path: Path, row: str, problem: str) -> None:
    with pytest.raises(VocabularyError, match=re.escape(f"en.toml, words {problem}")):
        load(write(tmp_path, "en", GOOD, row))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("words = [", "en.toml, file: "),
        ("words = []", "en.toml, language: must be 'en'"),
        ('language = "de"\nwords = []', "en.toml, language: must be 'en'"),
        ('language = "en"', "en.toml, words: must be a list"),
        ('language = "en"\nwords = []\nfiller = []', "en.toml, filler: no such key"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, content: str, problem: str) -> None:
    (tmp_path / "en.toml").write_text(content, encoding="utf-8")
    with pytest.raises(VocabularyError, match=re.escape(problem)):
        load(tmp_path)


def test_countries_speak_only_languages_with_a_file() -> None:
    files = {path.stem for path in DATA.glob("*.toml")}
    for country, languages in countries().items():
        assert re.fullmatch("[A-Z]{2}", country)
        assert languages and set(languages) <= files, country
        assert len(set(languages)) == len(languages), country


def test_every_language_is_spoken_somewhere() -> None:
    spoken = {language for languages in countries().values() for language in languages}
    assert {path.stem for path in DATA.glob("*.toml")} - spoken == {"zxx"}


@pytest.mark.parametrize(
    ("country", "languages", "expected"),
    [
        (None, (), ()),
        ("DE", (), ("de",)),
        ("de", (), ("de",)),
        ("QQ", (), ()),
        ("", ("",), ()),
        ("CH", ("it-CH",), ("it", "de", "fr")),
        ("US", ("es_MX",), ("es", "en")),
        (None, ("zh",), ("zh-Hans",)),
        (None, ("zh-Hant-HK",), ("zh-Hant",)),
        (None, ("zh-TW",), ("zh-Hant",)),
        (None, ("fil", "nn"), ("tl", "nb")),
        (None, ("tlh",), ("tlh",)),
    ],
)
def test_context_puts_the_persons_own_languages_first(
    country: str | None, languages: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    assert context_of(country, languages, ()).languages == expected


def test_context_folds_advertised_words() -> None:
    assert context_of(None, (), ("Kliksa RET", "kliksa ret!", "!")).advertised == ("kliksa ret",)


@pytest.mark.parametrize(
    ("pattern", "text", "start", "matches"),
    [
        (Pattern(("sent", "from", "my"), ()), "sent from my phone", 0, True),
        (Pattern(("sent", "from", "my"), ()), "stop sent from my phone", 1, True),
        (Pattern(("sent", "from", "my"), ()), "sent from your phone", 0, False),
        (Pattern(("von", "meinem"), ("gesendet",)), "von meinem handy gesendet", 0, True),
        (Pattern(("von", "meinem"), ("gesendet",)), "von meinem vertrag", 0, False),
        (Pattern(("von",), ("von",)), "von", 0, False),
        (Pattern(("liked",), None), "liked", 0, True),
        (Pattern(("liked",), None), "liked it", 0, False),
    ],
)
def test_patterns(pattern: Pattern, text: str, start: int, matches: bool) -> None:
    assert pattern.matches(normalise(text).split(), start) is matches
