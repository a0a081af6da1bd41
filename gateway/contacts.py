"""Reading recipients: CSV files as people have them, row by row, in constant memory.

One number a line, with or without a header, whatever the delimiter. A row that cannot be used comes out with
its reason; the rows around it are not affected. Row numbers are those a person sees: the first row is 1.
"""

import codecs
import csv
import io
import re
import unicodedata
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO, NamedTuple, TextIO

from gateway import phone
from gateway.errors import BadInput

# The first rows tell the delimiter and the column.
SAMPLE = 20
DELIMITERS = ";\t|,"
MOST_LINE = 64 * 1024
# A quoted cell may run over lines (addresses); one that is never closed must not swallow the file.
MOST_LINES_A_ROW = 50
_CHUNK = 1 << 16

# Parts of a header that name a number's column, the surest first. Mobiles before landlines.
_NAMES = (
    re.compile(r"mobil|handy|^cell|portable|movil|celular|gsm|msisdn|whatsapp"),
    re.compile(r"phone|telefon|rufnummer|^tel$|^telnr|^number$|^nummer$|^numero$|^numeros?detel"),
)
_NOT_NAMES = re.compile(r"fax|type$|typ$|label$")


@dataclass(frozen=True, slots=True)
class Line:
    """One row: its number in E.164, or the reason why there is none (which never repeats the cell)."""

    row: int
    number: str | None
    error: str | None


class Batch(NamedTuple):
    """The numbers of some rows, with repeats, and the rows that gave none."""

    numbers: list[str]
    errors: list[Line]


class _Row(NamedTuple):
    """A row's cells, or why it cannot be cut into cells."""

    cells: list[str]
    error: str | None


def read(stream: TextIO, default_country: str | None) -> Iterator[Line]:
    """The rows of a recipients file. `default_country` (ISO 3166-1) is for numbers without country code.

    The number stands in the column whose header names one (phone, mobile, Handynummer, téléphone …), without
    a header in the first column that holds numbers. Rows without any content are passed over.
    """
    lines = _lines(stream)
    sample = list(islice(lines, SAMPLE))
    all_rows = enumerate(_rows(chain(sample, lines), _delimiter(sample)), 1)
    rows = ((number, row) for number, row in all_rows if row.error or any(map(str.strip, row.cells)))
    first = list(islice(rows, SAMPLE))
    column, has_header = _column([row.cells for _, row in first if not row.error], default_country)
    for number, row in chain(first[has_header:], rows):
        yield _line(number, row, column, default_country)


def line(row: int, cell: str, default_country: str | None) -> Line:
    """One cell as a number or the reason why it is none."""
    try:
        return Line(row, phone.parse(_bare(cell), default_country), None)
    except phone.BadNumber as error:
        return Line(row, None, error.reason)


def batches(lines: Iterator[Line], size: int = 1000) -> Iterator[Batch]:
    """The lines in groups of at most `size`, for one change of the database each."""
    batch = Batch([], [])
    for count, line in enumerate(lines, 1):
        if line.number is not None:
            batch.numbers.append(line.number)
        else:
            batch.errors.append(line)
        if count % size == 0:
            yield batch
            batch = Batch([], [])
    if batch.numbers or batch.errors:
        yield batch


def open_text(path: Path) -> TextIO:
    """A file as text: UTF-8, UTF-16 with a mark, else Windows-1252. Raises BadInput for what is no text."""
    return as_text(path.open("rb"))


def as_text(raw: BinaryIO) -> TextIO:
    """The same for an open binary file that can seek; the text takes it over."""
    encoding = _encoding(raw)
    raw.seek(0)
    return io.TextIOWrapper(raw, encoding=encoding, errors="replace", newline="")


def _encoding(raw: BinaryIO) -> str:
    start = raw.read(4096)
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if start.startswith(b"PK\x03\x04") or b"\x00" in start:
        raw.close()
        raise BadInput("This is no text file. Save the sheet as CSV (UTF-8) and try again.", field="file")
    raw.seek(0)
    return "utf-8-sig" if _is_utf8(raw) else "cp1252"


def _is_utf8(raw: BinaryIO) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        while chunk := raw.read(_CHUNK):
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _lines(stream: TextIO) -> Iterator[str]:
    """Lines without their ends; of an endless one only the first `MOST_LINE` characters and one more."""
    while line := stream.readline(MOST_LINE + 1):
        end = line
        while len(end) > MOST_LINE and not end.endswith(("\n", "\r")):
            end = stream.readline(MOST_LINE + 1)
        yield line.rstrip("\r\n").removeprefix("\ufeff")


def _delimiter(sample: list[str]) -> str:
    """The sign that cuts most lines into as many cells as the first one; `;` and tab before the comma."""
    counts = {sign: [_outside_quotes(line).count(sign) for line in sample if line] for sign in DELIMITERS}
    agreeing = {sign: found.count(found[0]) if found and found[0] else 0 for sign, found in counts.items()}
    best = max(DELIMITERS, key=lambda sign: agreeing[sign])
    return best if agreeing[best] else ","


def _outside_quotes(line: str) -> str:
    return re.sub(r'"[^"]*"', "", line)


def _rows(lines: Iterator[str], delimiter: str) -> Iterator[_Row]:
    """Lines cut into cells, a quoted cell over several lines put together again."""
    given_back: deque[str] = deque()
    while (line := _following(given_back, lines)) is not None:
        taken = [line]
        while len(taken) < MOST_LINES_A_ROW and _ends_in_quotes("\n".join(taken), delimiter):
            if (more := _following(given_back, lines)) is None:
                break
            taken.append(more)
        cells = _cut(taken, delimiter)
        if cells is None:
            given_back.extendleft(reversed(taken[1:]))
            yield _Row([], "a quotation mark is opened and not closed")
        elif len(line) > MOST_LINE:
            yield _Row([], "the line is too long")
        else:
            yield _Row(cells, None)


def _following(given_back: deque[str], lines: Iterator[str]) -> str | None:
    return given_back.popleft() if given_back else next(lines, None)


def _ends_in_quotes(text: str, delimiter: str) -> bool:
    try:
        next(csv.reader([text], delimiter=delimiter, strict=True), None)
    except csv.Error as error:
        return "unexpected end" in str(error)
    return False


def _cut(taken: list[str], delimiter: str) -> list[str] | None:
    """Cells, or None when the quotes cannot be made sense of; a single line is read leniently."""
    if len(taken) == 1 and _ends_in_quotes(taken[0], delimiter):
        return None
    try:
        text = "\n".join(taken)
        return next(csv.reader([text], delimiter=delimiter, strict=len(taken) > 1), [])
    except csv.Error:
        return None


def _column(rows: list[list[str]], default_country: str | None) -> tuple[int, bool]:
    """Which column holds the numbers, and whether the first row is a header."""
    if not rows:
        return 0, False
    named = _named_columns(rows[0]) if not _numbers_in([rows[0]], None, default_country) else []
    if named:
        telling = (column for column in named if _numbers_in(rows[1:], column, default_country))
        return next(telling, named[0]), True
    width = max(len(row) for row in rows)
    column = max(range(width), key=lambda place: _score(rows, place, default_country))
    return column, len(rows) > 1 and not re.search(r"\d", _cell(rows[0], column))


def _named_columns(header: list[str]) -> list[int]:
    """The columns whose names speak of a number, the surest first."""
    names = ["".join(filter(str.isalnum, _plain(cell))) for cell in header]
    named = [
        (rank, column)
        for column, name in enumerate(names)
        for rank, pattern in enumerate(_NAMES)
        if pattern.search(name) and not _NOT_NAMES.search(name)
    ]
    return [column for _, column in sorted(named)]


def _plain(cell: str) -> str:
    """Without case and accents: "Téléphone" → "telephone"."""
    parts = unicodedata.normalize("NFKD", cell.casefold())
    return "".join(char for char in parts if not unicodedata.combining(char))


def _score(rows: list[list[str]], column: int, default_country: str | None) -> tuple[int, int]:
    """International spellings first: a column of dates or customer numbers may parse as local numbers."""
    return _numbers_in(rows, column, None), _numbers_in(rows, column, default_country)


def _numbers_in(rows: list[list[str]], column: int | None, default_country: str | None) -> int:
    """How many rows hold a number, in one column or in any."""
    chosen = [row if column is None else [_cell(row, column)] for row in rows]
    return sum(any(_is_number(cell, default_country) for cell in cells) for cells in chosen)


def _is_number(cell: str, default_country: str | None) -> bool:
    try:
        phone.parse(_bare(cell), default_country)
    except phone.BadNumber:
        return False
    return True


def _cell(row: list[str], column: int) -> str:
    return row[column] if column < len(row) else ""


def _bare(cell: str) -> str:
    """Without the dress that keeps a spreadsheet from eating the zero: `="0151…"`."""
    return cell.strip().removeprefix("=").strip('"')


def _line(number: int, row: _Row, column: int, default_country: str | None) -> Line:
    if row.error:
        return Line(number, None, row.error)
    return line(number, _cell(row.cells, column), default_country)
