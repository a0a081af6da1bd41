import gsm0338
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.segments import GSM7_BASIC, GSM7_EXTENSION, SegmentCount, count, fits_one

CODEC = gsm0338.Codec()


@pytest.mark.parametrize(
    ("text", "encoding", "units", "segments"),
    [
        ("", "GSM-7", 0, 1),
        ("a" * 160, "GSM-7", 160, 1),
        ("a" * 161, "GSM-7", 161, 2),
        ("a" * 306, "GSM-7", 306, 2),
        ("a" * 307, "GSM-7", 307, 3),
        ("€" * 80, "GSM-7", 160, 1),
        ("€" * 81, "GSM-7", 162, 2),
        ("a" * 159 + "€", "GSM-7", 161, 2),
        # 153 is odd: a run of escape pairs leaves one septet empty in every part.
        ("€" * 152, "GSM-7", 304, 2),
        ("€" * 153, "GSM-7", 306, 3),
        ("a" * 152 + "€" + "a" * 151, "GSM-7", 305, 2),
        ("a" * 152 + "€" + "a" * 152, "GSM-7", 306, 3),
        ("a" * 151 + "€" + "a" * 153, "GSM-7", 306, 2),
        ("ß" * 160, "GSM-7", 160, 1),
        ("ж" * 70, "UCS-2", 70, 1),
        ("ж" * 71, "UCS-2", 71, 2),
        ("ж" * 134, "UCS-2", 134, 2),
        ("ж" * 135, "UCS-2", 135, 3),
        ("a" * 69 + "ж", "UCS-2", 70, 1),
        ("a" * 70 + "ж", "UCS-2", 71, 2),
        # In UCS-2 an extension character is one unit again.
        ("€" * 69 + "ж", "UCS-2", 70, 1),
        ("🛑" * 35, "UCS-2", 70, 1),
        ("🛑" * 36, "UCS-2", 72, 2),
        # 67 is odd too: a surrogate pair that would straddle moves to the next part.
        ("🛑" * 66, "UCS-2", 132, 2),
        ("🛑" * 67, "UCS-2", 134, 3),
        ("ж" * 66 + "🛑" + "ж" * 65, "UCS-2", 133, 2),
        ("ж" * 66 + "🛑" + "ж" * 66, "UCS-2", 134, 3),
        ("ç", "UCS-2", 1, 1),
        ("Ç", "GSM-7", 1, 1),
        ("ê", "UCS-2", 1, 1),
        ("`", "UCS-2", 1, 1),
        ("\x1b", "UCS-2", 1, 1),
        ("\t", "UCS-2", 1, 1),
        ("\f\r\n", "GSM-7", 4, 1),
        ("’", "UCS-2", 1, 1),
    ],
)
def test_count(text: str, encoding: str, units: int, segments: int) -> None:
    assert count(text) == SegmentCount(encoding, units, segments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "expected"), [("a" * 160, True), ("a" * 161, False), ("ж" * 70, True), ("ж" * 71, False)]
)
def test_fits_one(text: str, expected: bool) -> None:
    assert fits_one(text) is expected


def test_the_alphabet_has_the_size_of_the_standard() -> None:
    assert len(GSM7_BASIC) == 127  # 128 positions, one of them the escape
    assert len(GSM7_EXTENSION) == 10
    assert not GSM7_BASIC & GSM7_EXTENSION


@given(st.characters())
@example("€")
@example("@")
@example("\x00")
@example("\x1b")
def test_the_alphabet_agrees_with_gsm0338(char: str) -> None:
    if char == "\x1b":  # the escape itself is no character, though the other codec lets it pass
        return
    try:
        septets = len(CODEC.encode(char)[0])
    except UnicodeEncodeError:
        septets = 0
    ours = count(char)
    assert (ours.units if ours.encoding == "GSM-7" else 0) == septets


@given(st.text(max_size=400))
def test_parts_are_never_fewer_than_the_units_need_nor_many_more(text: str) -> None:
    encoding, units, segments = count(text)
    alone, part = (160, 153) if encoding == "GSM-7" else (70, 67)
    if units <= alone:
        assert segments == 1
    else:
        # At most one unit is left empty in each part but the last.
        assert -(-units // part) <= segments <= -(-units // (part - 1))


@given(st.text(max_size=200))
def test_units_are_the_length_in_the_encoding(text: str) -> None:
    encoding, units, _ = count(text)
    if encoding == "UCS-2":
        assert units == len(text.encode("utf-16-be", "surrogatepass")) // 2
    else:
        assert units == len(CODEC.encode(text)[0])
