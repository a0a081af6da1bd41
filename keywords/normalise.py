"""Raw text → canonical words.

Canonical means: lower case without Latin, Greek, Cyrillic, Hebrew and Arabic marks, letters and digits only,
words parted by one space. Case, width, zero-width and direction marks, punctuation and most letter styles
are gone; letters of other scripts stay themselves (СТОП is a word of its own). `skeleton` is the second,
coarser reading in which letters that only look alike are the same letter.
"""

import re
import unicodedata
from functools import lru_cache

SIGNS = frozenset("🛑✋🚫")

# A hostile text of never repeated letters must not grow the table for ever; 40,000 letters take about 5 MB.
_REMEMBERED_LETTERS = 40_000

# str.casefold and NFKD leave these as they are, or part a word with them.
_SPELT = {
    "ı": "i", "æ": "ae", "œ": "oe", "ə": "e", "ð": "d", "þ": "th", "ŋ": "n", "ĸ": "k",
    "ى": "ي", "ی": "ي", "ک": "ك", "ہ": "ه", "ة": "ه",
}  # fmt: skip

# Not assigned, private, half of a pair.
_NO_CHARACTER = frozenset({"Cn", "Co", "Cs"})

# Apostrophes join ("don't"), the Catalan middle dot joins ("cancel·lar"), fillers of Hangul and the Arabic
# stretch are invisible although Unicode calls them letters, two Arabic signs are whole sentences (1,600 of
# the first would be 28,800 letters).
_UNSEEN = frozenset("'’‘‛`´ʹʻʼʽˈ′＇·ـ\u115f\u1160\u3164\uffa0\ufdfa\ufdfb")

_DROPPED_MARKS = (
    (0x0300, 0x036F), (0x0483, 0x0489), (0x0591, 0x05C7), (0x0610, 0x061A), (0x064B, 0x065F),
    (0x0670, 0x0670), (0x06D6, 0x06ED), (0x180B, 0x180F), (0x1AB0, 0x1AFF), (0x1DC0, 0x1DFF),
    (0x20D0, 0x20FF), (0xFE00, 0xFE2F), (0xE0100, 0xE01EF),
)  # fmt: skip

_STYLED_LATIN = re.compile(
    r"(?:LATIN (?:SMALL|CAPITAL) LETTER|LATIN LETTER SMALL CAPITAL"
    r"|NEGATIVE (?:CIRCLED|SQUARED) LATIN CAPITAL LETTER) ([A-Z])(?: WITH .*)?$"
)

# Cyrillic, Greek and Armenian letters (folded) whose small or capital form looks like a Latin one; from
# Unicode's confusables data (UTS 39), general knowledge. "п", "и" and "л" look like nothing and stay.
_LOOK_ALIKES = str.maketrans(
    "авсԁегһніјкӏмоԛрѕтвхуԝ" + "αβεζηικμνορτυχ" + "օսհոց",
    "abcderhhijklmoqpstbxyw" + "abezhikmnoptux" + "ouhng",
)

# Two letters may be two answers or an abbreviation, three are spelling.
_SPELLED = re.compile(r"(?<!\S)[^\s🛑✋🚫](?: [^\s🛑✋🚫]){2,}(?!\S)")

_LONG_MARK_RUN = re.compile(r"[^\w\s]{17,}")


class _Letters(dict[int, str]):
    """A `str.translate` table that works each letter out when it first occurs."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        category = unicodedata.category(char)
        if category in _NO_CHARACTER:
            return " "
        folded = char if _is_plain_han_or_hangul(code, category) else _fold_letter(char, category)
        if len(self) < _REMEMBERED_LETTERS:
            self[code] = folded
        return folded


def _is_plain_han_or_hangul(code: int, category: str) -> bool:
    return category == "Lo" and code >= 0x3400 and not unicodedata.decomposition(chr(code))


def _fold_letter(char: str, category: str) -> str:
    if char in _UNSEEN or category in ("Cf", "Sk"):
        return ""
    # Most letters are caseless and made of one piece: the short way takes a third of the time.
    if not unicodedata.decomposition(char) and char.casefold() == char:
        return _plain_letter(char)
    # Twice: NFKD brings out capitals ("𝐒"), and folding a case can bring out marks ("İ").
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", char).casefold())
    return "".join(map(_plain_letter, plain))


def _plain_letter(char: str) -> str:
    if char in _UNSEEN:
        return ""
    if char.isascii():
        return char if char.isalnum() else " "
    if char in _SPELT:
        return _SPELT[char]
    if char in SIGNS:
        return f" {char} "
    return _other_script(char)


def _other_script(char: str) -> str:
    if unicodedata.category(char).startswith("M"):
        return "" if _is_dropped_mark(char) else char
    if char.isdecimal():
        return str(unicodedata.decimal(char))
    if char.islower() or "🅐" <= char <= "🆉":
        styled = _STYLED_LATIN.match(unicodedata.name(char, ""))
        if styled:
            return styled[1].lower()
    return char if char.isalnum() else " "


def _is_dropped_mark(char: str) -> bool:
    return any(first <= ord(char) <= last for first, last in _DROPPED_MARKS)


_LETTERS = _Letters()


def _fold(text: str) -> str:
    folded = text.translate(_LETTERS)
    if folded.isascii():
        return folded
    # Sorting marks is quadratic in the length of a run: 1,600 of them took 2 ms.
    return unicodedata.normalize("NFC", _LONG_MARK_RUN.sub(lambda run: run[0][:16], folded))


def words_of(text: str) -> list[str]:
    """The canonical words of `text`, letters that were spelled one by one ("S.T.O.P") put together."""
    words = _fold(text).split()
    if len(words) > 2 and any(len(word) == 1 for word in words):
        return _SPELLED.sub(lambda letters: letters[0].replace(" ", ""), " ".join(words)).split()
    return words


def normalise(text: str) -> str:
    """The canonical form of `text`: its words, parted by one space. Idempotent; "" for no words."""
    return " ".join(words_of(text))


def visible(text: str) -> str:
    """`text` without the characters that leave no trace in its canonical form: marks, zero widths, apostrophes."""
    return text if text.isascii() else "".join(char for char in text if char.translate(_LETTERS))


def skeleton(canonical: str) -> str:
    """`canonical` with letters that look alike made the same; equal skeletons look the same to a reader."""
    return canonical.translate(_LOOK_ALIKES)


@lru_cache(maxsize=4096)
def _letters_in(char: str) -> int:
    return len(unicodedata.normalize("NFD", char.translate(_LETTERS)).replace(" ", ""))


def letters_in(words: list[str]) -> int:
    """How many folded letters `words` have, counted the way `locate` counts."""
    return len(unicodedata.normalize("NFD", "".join(words)))


def locate(text: str, before: int, letters: int) -> tuple[int, int]:
    """(start, end) in `text` of the `letters` folded letters that follow the first `before` ones."""
    seen, start = 0, 0
    for position, char in enumerate(text):
        count = _letters_in(char)
        if count and seen <= before:
            start = position
        seen += count
        if seen >= before + letters:
            return start, position + 1
    return start, len(text)
