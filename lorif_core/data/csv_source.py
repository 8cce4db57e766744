"""Rows of CSV files, whatever separates their cells.

Unless it is named, the separator is the one of ``,``, ``;``, tab and ``|`` by which the header has several cells and
most of the first rows have as many; of several such the one of the suffix (a comma, a tab for ``.tsv``), then the one
that gives more cells.
"""

import csv
import io
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from lorif_core.data.record import EXCERPT_CHARACTERS, TOO_LONG, Record, refuse_repeated_names
from lorif_core.data.text_files import bad_byte, encoding_hint, iter_lines, open_text, sample_of
from lorif_core.errors import DataError
from lorif_core.plain_files import MAX_LINE_BYTES

DELIMITERS = (",", ";", "\t", "|")
NAMED_DELIMITERS = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}
SNIFFED_ROWS = 100
LEAST_SHARE = 0.5
"""Of the first rows, those that must have as many cells as the header."""


def usual_delimiter(path: Path) -> str:
    """The separator that a file has by its name."""
    return "\t" if ".tsv" in path.suffixes[-2:] else ","


def delimiter_of(path: Path, encoding: str | None = None) -> str:
    """The separator by which most of the first rows have as many cells as the header; that of the suffix if none."""
    sample = sample_of(path, encoding)
    usual = usual_delimiter(path)
    fits = {one: _fit(sample, one) for one in (usual, *DELIMITERS)}
    best = max(fits, key=lambda one: (fits[one].share, one == usual, fits[one].num_cells))
    return best if fits[best].share >= LEAST_SHARE else usual


class _Fit(NamedTuple):
    """How well a separator fits the first rows."""

    share: float
    """Of the rows, those with as many cells as the header; 0 where that has one."""

    num_cells: int
    """Of the header."""


def _fit(sample: str, delimiter: str) -> _Fit:
    csv.field_size_limit(MAX_LINE_BYTES)
    reader = csv.reader(io.StringIO(sample, newline=None if _has_lone_ends(sample) else ""), delimiter=delimiter)
    try:
        header, *rows = [len(cells) for cells in islice(reader, SNIFFED_ROWS) if cells] or [0]
    except csv.Error:
        return _Fit(0.0, 0)
    return _Fit(0.0, header) if header < 2 else _Fit(rows.count(header) / len(rows) if rows else 1.0, header)


def _has_lone_ends(sample: str) -> bool:
    """Whether lines end in a lone CR, as on old Macs."""
    return "\n" not in sample and "\r" in sample


class _CsvLines:
    """Lines of a CSV file as text; remembers where bytes were not UTF-8."""

    def __init__(self, handle: io.BufferedIOBase, offset: int, *, splits_at_cr: bool):
        self.bad_byte = ""
        self._is_long = False
        self._handle = handle
        self._offset = offset
        self._splits_at_cr = splits_at_cr

    def __iter__(self) -> Iterator[str]:
        for line, length in iter_lines(self._handle):
            if length > MAX_LINE_BYTES:
                self._is_long = True
                line = line[:EXCERPT_CHARACTERS] + b"\n"
            try:
                text = line.decode("utf-8")
            except UnicodeDecodeError as error:
                self.bad_byte = self.bad_byte or bad_byte(line, error, self._offset)
                text = line.decode("utf-8", "replace")
            yield from re.split(r"(?<=\r)(?=[^\n])", text) if self._splits_at_cr else (text,)
            self._offset += length

    def take_length(self) -> bool:
        """Whether a line since the last call was too long; only its beginning was read."""
        found, self._is_long = self._is_long, False
        return found

    def take_bad_byte(self) -> str:
        """Place of the first bad byte since the last call, or an empty string."""
        found, self.bad_byte = self.bad_byte, ""
        return found


def iter_csv(
    path: Path, delimiter: str | None = None, encoding: str | None = None, most_gb: float | None = None
) -> Iterator[Record]:
    """Rows of a CSV file, their cells as texts.

    Raises:
        DataError: The header cannot be read.
    """
    sample = sample_of(path, encoding)
    delimiter = delimiter or delimiter_of(path, encoding)
    # The limit belongs to the whole process and is checked at every cell, so it stays raised.
    csv.field_size_limit(MAX_LINE_BYTES)
    with open_text(path, encoding, most_gb) as (handle, offset):
        lines = _CsvLines(handle, offset, splits_at_cr=_has_lone_ends(sample))
        # Strict: without it a stray quote silently merges cells, or all rows up to the next quote.
        reader = csv.reader(iter(lines), delimiter=delimiter, strict=True)
        names = _csv_header(path, reader, lines)
        while names:
            line = reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                lines.take_bad_byte()
                lines.take_length()
                yield Record(line, None, "not CSV", f"{error}, in lines {line} to {reader.line_num}")
                continue
            bad = lines.take_bad_byte()
            if not cells:
                continue
            excerpt = delimiter.join(cells)[:EXCERPT_CHARACTERS]
            if lines.take_length():
                yield Record(line, None, TOO_LONG, excerpt=excerpt)
            elif bad:
                yield Record(line, None, "not UTF-8", bad, excerpt)
            elif len(cells) != len(names):
                detail = f"{len(cells)} cells, the header has {len(names)}"
                yield Record(line, None, "wrong number of cells", detail, excerpt)
            else:
                yield Record(line, dict(zip(names, cells, strict=True)), None, has_cells=True)


def _csv_header(path: Path, reader: Iterator[list[str]], lines: _CsvLines) -> list[str]:
    try:
        names = next((cells for cells in reader if cells), [])
    except csv.Error as error:
        raise DataError(
            f"the header of {str(path)!r} is not CSV ({error}): save the file with a header line, cells that "
            "contain quotes quoted, and lines that end in LF."
        ) from error
    if bad := lines.take_bad_byte():
        raise DataError(f"the header of {str(path)!r} is not UTF-8 ({bad}): {encoding_hint(path)}.")
    if lines.take_length():
        raise DataError(f"the header of {str(path)!r} is {TOO_LONG}: check what the file is.")
    return refuse_repeated_names(path, names)
