"""Rows of a file that could not be used: the first on the screen, all of them in a file if asked."""

import csv
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from gateway.cli.common import notes
from gateway.contacts import Line

MOST_SHOWN = 20


class BadRows:
    """Takes bad rows as they come; tells how many it has not shown at the end."""

    def __init__(self, path: Path | None) -> None:
        self.count = 0
        self._path = path
        self._stream: TextIO | None = None
        self._writer: Any = None

    def __enter__(self) -> "BadRows":
        if self._path is not None:
            self._stream = self._path.open("w", encoding="utf-8", newline="")
            self._writer = csv.writer(self._stream)
            self._writer.writerow(["row", "reason"])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stream is not None:
            self._stream.close()
        if self.count > MOST_SHOWN:
            where = f"all of them in {self._path}" if self._path else "--errors FILE writes all of them down"
            notes.print(f"… and {self.count - MOST_SHOWN:,} more bad rows; {where}", markup=False)

    def take(self, lines: Iterable[Line]) -> None:
        for line in lines:
            self.count += 1
            if self._writer is not None:
                self._writer.writerow([line.row, line.error])
            if self.count <= MOST_SHOWN:
                notes.print(f"row {line.row}: {line.error}", markup=False, highlight=False)
