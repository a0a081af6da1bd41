"""Recipients files as people have them: one table of files, and what each row of them is."""

import io
from pathlib import Path

import pytest

from gateway import contacts
from gateway.contacts import Line
from gateway.errors import BadInput

ANNA, BERT, CARA = "+4915123456781", "+4915123456782", "+4915123456783"
NOT_DIGITS = "contains something other than digits"
OPEN_QUOTE = "a quotation mark is opened and not closed"


def read(text: str, country: str | None = "DE") -> list[tuple[int, str | None]]:
    return [(line.row, line.number or line.error) for line in contacts.read(io.StringIO(text), country)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", [], id="nothing"),
        pytest.param("\n\n", [], id="empty lines only"),
        pytest.param(f"{ANNA}\n{BERT}\n", [(1, ANNA), (2, BERT)], id="one number a line"),
        pytest.param(f"{ANNA}", [(1, ANNA)], id="no line end"),
        pytest.param(f"{ANNA}\r\n{BERT}\r\n", [(1, ANNA), (2, BERT)], id="line ends of Windows"),
        pytest.param(f"\ufeff{ANNA}\n", [(1, ANNA)], id="byte order mark"),
        pytest.param("0151 23456781\n0049 151 23456782\n", [(1, ANNA), (2, BERT)], id="national spelling"),
        pytest.param(f"phone\n{ANNA}\n", [(2, ANNA)], id="header counts as row 1"),
        pytest.param(f"phone\n\n{ANNA}\n", [(3, ANNA)], id="empty lines count"),
        pytest.param(f"\n\nphone\n{ANNA}\n", [(4, ANNA)], id="empty lines before the header"),
        pytest.param("phone\n", [], id="header only"),
        pytest.param(f"Recipients\n{ANNA}\n", [(2, ANNA)], id="a header of any name"),
        pytest.param(f"0151\n{ANNA}\n", [(1, "too short for a phone number"), (2, ANNA)], id="bad first row"),
        pytest.param("abc\n", [(1, NOT_DIGITS)], id="one bad row is no header"),
        pytest.param(f"{ANNA}\nabc\n{BERT}\n", [(1, ANNA), (2, NOT_DIGITS), (3, BERT)], id="bad row between"),
        pytest.param(f"name;phone\nA;{ANNA}\n;\nB;\n", [(2, ANNA), (4, "empty")], id="cell without number"),
        pytest.param(f"name;phone\nA;{ANNA}\nB\n", [(2, ANNA), (3, "empty")], id="short row"),
        pytest.param(f'"{ANNA}"\n"{BERT}"\n', [(1, ANNA), (2, BERT)], id="quoted"),
        pytest.param(f'="{ANNA}"\n="015123456782"\n', [(1, ANNA), (2, BERT)], id="dressed for a spreadsheet"),
        pytest.param(f"{ANNA}\x00\n{BERT}\n", [(1, NOT_DIGITS), (2, BERT)], id="NUL"),
        pytest.param(
            "4.91512E+12\n" + ANNA,
            [(1, "spoilt by a spreadsheet (scientific notation); format the column as text"), (2, ANNA)],
            id="spoilt by a spreadsheet",
        ),
    ],
)
def test_rows(text: str, expected: list[tuple[int, str]]) -> None:
    assert read(text) == expected


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters(delimiter: str) -> None:
    rows = [["Name", "Mobil", "Ort"], ["Anna", ANNA, "Ulm"], ["Bert", BERT, "Bonn"]]
    text = "\n".join(delimiter.join(row) for row in rows)
    assert read(text) == [(2, ANNA), (3, BERT)]


@pytest.mark.parametrize(
    "text",
    [
        f"Name;Nummer\nMüller, Anna;{ANNA}\nMeier, Bert;{BERT}\n",
        f'name,number\n"Müller; Anna",{ANNA}\n"Meier; Bert",{BERT}\n',
        f"head;number\nMüller, Anna;{ANNA}\n;{BERT}\n",
    ],
)
def test_the_other_delimiter_within_cells(text: str) -> None:
    assert read(text) == [(2, ANNA), (3, BERT)]


@pytest.mark.parametrize(
    "name",
    "phone PHONE number Phone_Number mobile telefon Telefonnummer nummer Handynummer Handy-Nr. rufnummer "
    "téléphone Teléfono móvil Mobilnummer Tel. msisdn cell portable Mobile__Phone".replace("__", " ").split(),
)
def test_headers_that_name_the_column(name: str) -> None:
    # The first column holds valid numbers too: only the header can tell.
    assert read(f"Kundennr,{name}\n{CARA},{ANNA}\n") == [(2, ANNA)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"Telefon;Mobil\n{CARA};{ANNA}\n", ANNA),
        (f"Fax;Telefon\n{CARA};{ANNA}\n", ANNA),
        (f"Mobil;Telefon\n;{ANNA}\n", ANNA),
        (f"Phone 1 - Type,Phone 1 - Value\nMobile,{ANNA}\n", ANNA),
        (f"customer number,phone\n{CARA},{ANNA}\n", ANNA),
    ],
)
def test_several_columns_may_hold_numbers(text: str, expected: str) -> None:
    assert read(text) == [(2, expected)]


@pytest.mark.parametrize(
    "text",
    [
        f"Anna;Ulm;{ANNA}\nBert;Bonn;{BERT}\n",
        f"2024-01-31;10023;{ANNA}\n2024-02-01;10024;{BERT}\n",
        f"mobile;{ANNA}\nmobile;{BERT}\n",
    ],
)
def test_without_a_header_the_column_is_found(text: str) -> None:
    assert read(text) == [(1, ANNA), (2, BERT)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            f'name,phone\n"Anna\nMill Lane 1\nUlm",{ANNA}\nBert,{BERT}\n',
            [(2, ANNA), (3, BERT)],
            id="a cell over several lines is one row",
        ),
        pytest.param(f'name,phone\n"Anna,{ANNA}\nBert,{BERT}\n', [(2, OPEN_QUOTE), (3, BERT)], id="never closed"),
        pytest.param(
            f'name,phone\n"Anna,{ANNA}\nBert,{BERT}\n"Cara,{CARA}\n',
            [(2, OPEN_QUOTE), (3, BERT), (4, OPEN_QUOTE)],
            id="closed by accident",
        ),
        pytest.param(f'name,phone\n5" disk,{ANNA}\nB,{BERT}\n', [(2, ANNA), (3, BERT)], id="inch"),
        pytest.param(f'name,phone\n"A" B,{ANNA}\nB,{BERT}\n', [(2, ANNA), (3, BERT)], id="text behind"),
    ],
)
def test_p11_quotation_marks_cost_at_most_their_own_row(text: str, expected: list[tuple[int, str]]) -> None:
    assert read(text) == expected


def test_p11_an_open_quote_does_not_swallow_a_long_file() -> None:
    many = "".join(f"+49151{number:08}\n" for number in range(23456000, 23456500))
    lines = read(f'"{ANNA}\n{many}{BERT}\n')
    assert lines[0] == (1, OPEN_QUOTE)
    assert len(lines) == 502
    assert lines[-1] == (502, BERT)


def test_p11_a_huge_line_is_one_bad_row() -> None:
    lines = read(f"{ANNA}\n{'1' * 300_000}\n{BERT}\n")
    assert lines == [(1, ANNA), (2, "the line is too long"), (3, BERT)]


def test_without_a_country_only_international_numbers_count() -> None:
    assert read(f"{ANNA}\n015123456782\n", None) == [(1, ANNA), (2, "country code missing (+49…)")]


def test_reading_streams() -> None:
    """A file of any length costs the memory of its sample only: rows come before the file is read."""
    source = iter([f"+49151{number:08}\n" for number in range(23456000, 23457000)])
    taken: list[str] = []

    class Slow(io.StringIO):
        def readline(self, size: int | None = -1, /) -> str:
            taken.append("line")
            return next(source, "")

    lines = contacts.read(Slow(), "DE")
    assert next(lines) == Line(1, "+4915123456000", None)
    assert len(taken) < 100


def test_batches() -> None:
    text = "\n".join(f"+49151{number:08}" for number in range(23456000, 23456005)) + "\nabc\n"
    found = list(contacts.batches(contacts.read(io.StringIO(text), "DE"), size=2))
    assert [len(batch.numbers) for batch in found] == [2, 2, 1]
    assert [batch.errors for batch in found] == [[], [], [Line(6, None, NOT_DIGITS)]]


def test_batches_of_nothing() -> None:
    assert list(contacts.batches(iter([]), size=2)) == []


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "list.csv"
    # Long enough that the first odd byte lies behind the first block that is looked at.
    filling = "".join(f"Anna;{ANNA}\r\n" for _ in range(5000))
    path.write_bytes(f"Name;Handy\r\n{filling}Jörg;{BERT}\r\n".encode(encoding))
    with contacts.open_text(path) as stream:
        lines = list(contacts.read(stream, "DE"))
    assert [lines[0], lines[-1]] == [Line(2, ANNA, None), Line(5002, BERT, None)]


@pytest.mark.parametrize("content", [b"PK\x03\x04rest of a workbook", b"+4915123456781\x00\x00"])
def test_what_is_no_text_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "list.xlsx"
    path.write_bytes(content)
    with pytest.raises(BadInput, match="CSV") as raised:
        contacts.open_text(path)
    assert raised.value.field == "file"
