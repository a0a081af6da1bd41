"""Reading recipients: CSV files as people have them, row by row, in constant memory.

One number a line, with or without a header, whatever the delimiter. A row that cannot be used comes out with
its reason; the rows around it are not affected. Row numbers are those a person sees: the first row is 1.
"""

import codecs
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple, TextIO

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
    re.compile(r"mobil|handy|cell|portable|movil|celular|gsm|msisdn|whatsapp|sms"),
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
    sample = [line for _, line in zip(range(SAMPLE), lines, strict=False)]
    delimiter = _delimiter(sample)
    rows = enumerate(_rows(_chain(sample, lines), delimiter, default_country), 1)
    first = [row for _, row in zip(range(SAMPLE), rows, strict=False)]
    column, has_header = _column([row.cells for _, row in first if row.cells], default_country)
    for number, row in _chain(first[1:] if has_header else first, rows):
        if row.error or any(cell.strip() for cell in row.cells):
            yield _line(number, row, column, default_country)


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


def _chain(*parts: "Iterator[_T] | list[_T]") -> "Iterator[_T]":
    for part in parts:
        yield from part
