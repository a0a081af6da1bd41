"""What surrounds the words that matter: signatures, a name below, politeness, quotations by the phone."""

import re
from collections.abc import Iterator

from keywords.normalise import visible, words_of
from keywords.vocabulary import Patterns, Vocabulary

_SIGNATURE_LINE = re.compile(r"\n[ \t]*(?:--|__|－－|＿＿|—)[-_－＿— \t]*(?:\n|$)")
_OPENING_QUOTE = re.compile('["“”„«»‟＂]')
_CLOSING_QUOTES = '"“”«»‟＂'

# A phone puts at most a few words before what it quotes ("Removed a laugh from “").
_LONGEST_TAPBACK_HEAD = 60
_LONGEST_NAME = 3


def bodies(text: str, words: list[str], vocabulary: Vocabulary) -> Iterator[list[str]]:
    """The words of the text, then of what is left of it without signature, then without a name below."""
    yield words
    if "\n" in text:
        yield from _bodies_of_lines(visible(text), vocabulary)
    body = _without_signature(words, vocabulary.signatures)
    if len(body) < len(words):
        yield body


def _bodies_of_lines(text: str, vocabulary: Vocabulary) -> Iterator[list[str]]:
    above = _SIGNATURE_LINE.split(text, maxsplit=1)[0]
    yield _without_signature(words_of(above), vocabulary.signatures)
    yield from _above_name(above, vocabulary)


def _without_signature(words: list[str], signatures: Patterns) -> list[str]:
    for position, word in enumerate(words):
        for pattern in signatures.get(word, ()):
            if pattern.matches(words, position):
                return words[:position]
    return words


def _above_name(text: str, vocabulary: Vocabulary) -> Iterator[list[str]]:
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    while lines and not _without_signature(words_of(lines[-1]), vocabulary.signatures):
        lines.pop()
    if len(lines) > 1 and _is_name(lines[-1], vocabulary):
        yield words_of("\n".join(lines[:-1]))


def _is_name(line: str, vocabulary: Vocabulary) -> bool:
    name = line.lstrip("-–—~－～ ")
    parts = name.split()
    if not 1 <= len(parts) <= _LONGEST_NAME or not vocabulary.not_names.isdisjoint(words_of(line)):
        return False
    is_signed = name != line
    return all(_is_name_part(part, is_signed) for part in parts)


def _is_name_part(part: str, is_signed: bool) -> bool:
    if not part.strip(".").replace("-", "").isalpha():
        return False
    # Whoever shouts goes on shouting in the next line ("STOP\nTHIS"): that is no name.
    return is_signed or (part[0].isupper() and (not part.isupper() or len(part.strip(".")) == 1))


def core(words: list[str], vocabulary: Vocabulary) -> tuple[int, int]:
    """(first, last) of the words inside the politeness; the whole range when there is nothing else."""
    first, last = 0, len(words)
    while size := _filler_after(words, first, vocabulary):
        first += size
    while size := _filler_before(words, last, vocabulary):
        last -= size
    return (first, last) if first < last else (0, len(words))


def _filler_after(words: list[str], first: int, vocabulary: Vocabulary) -> int:
    for size in vocabulary.filler_sizes:
        if tuple(words[first : first + size]) in vocabulary.fillers:
            return size
    return 0


def _filler_before(words: list[str], last: int, vocabulary: Vocabulary) -> int:
    for size in vocabulary.filler_sizes:
        if last >= size and tuple(words[last - size : last]) in vocabulary.fillers:
            return size
    return 0


def is_tapback(text: str, vocabulary: Vocabulary) -> bool:
    """Whether a phone quotes a text to say that its owner reacted to it (`Liked “…”`)."""
    opening = _OPENING_QUOTE.search(text, 0, _LONGEST_TAPBACK_HEAD)
    if opening is None or visible(text).rstrip()[-1] not in _CLOSING_QUOTES:
        return False
    head = words_of(text[: opening.start()])
    return bool(head) and any(pattern.matches(head, 0) for pattern in vocabulary.tapbacks.get(head[0], ()))
