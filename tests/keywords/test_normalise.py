import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keywords import normalise
from keywords.normalise import letters_in, locate, skeleton, words_of


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("", ""),
        (" \t\r\n ", ""),
        ("?!… — ***", ""),
        ("STOP", "stop"),
        ("  Stop.  ", "stop"),
        ("stop,please", "stop please"),
        ("OPT-OUT", "opt out"),
        ("opt_out", "opt out"),
        ("don't", "dont"),
        ("don’t", "dont"),
        ("don´t", "dont"),
        ("CANCEL·LAR", "cancellar"),
        ("“STOP”", "stop"),
        ("„STOP“", "stop"),
        ("«STOP»", "stop"),
        ("‹STOP›", "stop"),
        ("「停止」", "停止"),
        ("ＳＴＯＰ", "stop"),
        ("𝐒𝐓𝐎𝐏", "stop"),
        ("Ⓢⓣⓞⓟ", "stop"),
        ("🅢🅣🅞🅟", "stop"),
        ("sᴛᴏᴘ", "stop"),
        ("ŠŦØṖ", "stop"),
        ("S̶T̶O̶P̶", "stop"),
        ("s\u200bt\u200do\ufeffp", "stop"),
        ("\u202eSTOP\u202c", "stop"),
        ("S\u00adTOP", "stop"),
        ("İPTAL", "iptal"),
        ("IPTAL", "iptal"),
        ("iptal", "iptal"),
        ("ıptal", "iptal"),
        ("ÇIKIŞ", "cikis"),
        ("KÜNDIGEN", "kundigen"),
        ("Straße", "strasse"),
        ("ku\u0308ndigen", "kundigen"),
        ("HJÆLP", "hjaelp"),
        ("LƏĞV", "legv"),
        ("désabonner", "desabonner"),
        ("СТОП", "стоп"),
        ("ΣΤΟΠ", "στοπ"),
        ("τέλος", "τελοσ"),
        ("אָנָּא", "אנא"),
        ("إلغاء", "الغاء"),
        ("كـــفى", "كفي"),
        ("لغو۱۱", "لغو11"),
        ("١٢", "12"),
        ("ｽﾄｯﾌﾟ", "ストップ"),
        ("ﾊﾞ", "バ"),
        ("수신거부", "수신거부"),
        (unicodedata.normalize("NFD", "수신거부"), "수신거부"),
        ("हाँ", "हाँ"),
        ("🛑", "🛑"),
        ("🛑stop🛑", "🛑 stop 🛑"),
        ("✋🏽", "✋"),
        ("stop 😡", "stop"),
    ],
)
def test_canonical_form(written: str, canonical: str) -> None:
    assert normalise(written) == canonical


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("S T O P", "stop"),
        ("s.t.o.p", "stop"),
        ("S-T-O-P", "stop"),
        ("S*T*O*P!", "stop"),
        ("S T O P please", "stop please"),
        ("С Т О П", "стоп"),
        ("e n d", "end"),
        ("N O", "n o"),
        ("I am a b", "i am a b"),
        ("a b c de", "abc de"),
        ("🛑 🛑 🛑", "🛑 🛑 🛑"),
    ],
)
def test_letters_spelled_one_by_one_are_a_word_from_three_letters_on(written: str, canonical: str) -> None:
    assert normalise(written) == canonical


@pytest.mark.parametrize("written", ["ЅТОР", "SТОP", "ѕtор", "STΟP", "ΕΝD", "САNСЕL", "ΗELP"])
def test_look_alike_letters_have_the_skeleton_of_the_latin_word(written: str) -> None:
    assert skeleton(normalise(written)) in {"stop", "end", "cancel", "help"}


def test_a_word_of_another_script_keeps_its_own_form() -> None:
    assert normalise("СТОП") == "стоп"
    assert skeleton("стоп") == skeleton(normalise("CTOП")) != "stop"


@pytest.mark.parametrize(
    ("text", "first", "last", "found"),
    [
        ("STOP", 0, 1, "STOP"),
        ("  «Stop»!", 0, 1, "Stop"),
        ("bitte STOP danke", 1, 2, "STOP"),
        ("please opt-out now", 1, 3, "opt-out"),
        ("s.t.o.p please", 0, 1, "s.t.o.p"),
        ("s\u200btop", 0, 1, "s\u200btop"),
        ("sıkıntı İPTAL", 1, 2, "İPTAL"),
        ("Straße ENDE", 1, 2, "ENDE"),
        ("네 수신거부", 1, 2, "수신거부"),
        ("ﾊﾞ ｽﾄｯﾌﾟ!", 1, 2, "ｽﾄｯﾌﾟ"),
    ],
)
def test_words_are_found_again_in_the_original(text: str, first: int, last: int, found: str) -> None:
    words = words_of(text)
    start, end = locate(text, letters_in(words[:first]), letters_in(words[first:last]))
    assert text[start:end] == found


@given(st.text(max_size=200))
def test_normalising_twice_is_normalising_once(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once


@given(st.text(max_size=200))
def test_canonical_text_is_words_parted_by_one_space(text: str) -> None:
    canonical = normalise(text)
    assert canonical == " ".join(canonical.split())
    assert not any(letter.isupper() for letter in canonical if letter.isascii())


@given(st.text(alphabet=st.characters(categories=["M"]), max_size=400))
def test_a_heap_of_marks_is_taken_like_any_text(marks: str) -> None:
    assert normalise(normalise("stop" + marks)) == normalise("stop" + marks)
