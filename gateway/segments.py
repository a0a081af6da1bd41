"""How many parts a text is billed and sent as.

Facts from 3GPP TS 23.038 (GSM-7 alphabet and its extension table) and TS 23.040 (concatenation):
a GSM-7 text holds 160 septets alone or 153 a part, a UCS-2 text 70 code units alone or 67 a part.
"""

from typing import Literal, NamedTuple

Encoding = Literal["GSM-7", "UCS-2"]

GSM7_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM7_EXTENSION = frozenset("\f^{}\\[~]|€")
_GSM7 = GSM7_BASIC | GSM7_EXTENSION

# (units in a text that stands alone, units in one part of several): the 6-octet header costs 7 septets.
_ROOM: dict[Encoding, tuple[int, int]] = {"GSM-7": (160, 153), "UCS-2": (70, 67)}


class SegmentCount(NamedTuple):
    """`units` are septets for GSM-7 and UTF-16 code units for UCS-2, without the parts' headers."""

    encoding: Encoding
    units: int
    segments: int


def count(text: str) -> SegmentCount:
    """The encoding a carrier chooses for `text`, its length in that encoding, and its number of parts.

    An empty text counts as one part: what is sent is never less than one.
    """
    encoding: Encoding = "GSM-7" if _GSM7.issuperset(text) else "UCS-2"
    wide = _is_extended if encoding == "GSM-7" else _is_astral
    alone, part = _ROOM[encoding]
    pairs = sum(map(wide, text))
    units = len(text) + pairs
    if units <= alone:
        return SegmentCount(encoding, units, 1)
    if not pairs:
        return SegmentCount(encoding, units, -(-units // part))
    return SegmentCount(encoding, units, _pack([2 if wide(char) else 1 for char in text], part))


def fits_one(text: str) -> bool:
    """Whether `text` is sent as a single part."""
    return count(text).segments == 1


def _pack(widths: list[int], room: int) -> int:
    """Parts needed when no character may be cut in two (escape pair, surrogate pair)."""
    parts, used = 1, 0
    for width in widths:
        if used + width > room:
            parts, used = parts + 1, 0
        used += width
    return parts


def _is_extended(char: str) -> bool:
    return char in GSM7_EXTENSION


def _is_astral(char: str) -> bool:
    return char > "\uffff"
