"""Lines of JSONL source files, copied byte for byte.

``source_line`` counts the lines of each file from 1, and the rows of several files follow one another, so a row
belongs to the first file, from that of the row before on, whose line of this number is this row. With a single
file that is its line; with several, a line is read and must give the row's id.

A line is copied with its own end, so CR LF stays. The last line of a file may have none: it is given LF when
another line follows, and stays as it is at the end of the export. A byte-order mark, blank lines and rows that
the import rejected are not copied.
"""

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from lorif_core.data.columns import Columns
from lorif_core.data.row_ids import content_of_row, given_id, hash_of_row
from lorif_core.data.rows import problem_of_row
from lorif_core.data.sources import suffix_of
from lorif_core.data.text_files import open_bytes
from lorif_core.errors import DataError

UTF8_MARK = b"\xef\xbb\xbf"
LINE_SUFFIXES = (".jsonl", ".ndjson", ".jsonlines")


def has_lines(path: Path) -> bool:
    """Whether a file is JSONL by its name, zipped or not."""
    return suffix_of(path) in LINE_SUFFIXES


def copy_lines(
    paths: Sequence[Path],
    rows: Iterable[tuple[str, int, bool]],
    columns: Columns,
    *,
    keeps_empty: bool,
) -> Iterator[bytes]:
    """The lines of the kept rows, as they are in the files, each ready to be written after the one before.

    Args:
        paths: The files, in the order in which they were imported.
        rows: Id, line and whether it is kept, of every example in order.
        columns: The text and id columns by their names in the files.
        keeps_empty: Whether an empty completion was no problem when the files were imported.

    Raises:
        DataError: A file does not hold the rows.
    """
    is_first = True
    ends_open = False
    for line, is_kept in _find_lines(paths, rows, columns, keeps_empty):
        if not is_kept:
            continue
        if ends_open and not is_first:
            yield b"\n"
        yield line
        is_first, ends_open = False, not line.endswith(b"\n")


def _find_lines(
    paths: Sequence[Path], rows: Iterable[tuple[str, int, bool]], columns: Columns, keeps_empty: bool
) -> Iterator[tuple[bytes, bool]]:
    files = iter(paths)
    lines = _numbered_lines(next(files))
    for train_id, wanted, is_kept in rows:
        while (line := _line_at(lines, wanted)) is None or not (
            len(paths) == 1 or _is_row(line, train_id, columns, keeps_empty)
        ):
            if (path := next(files, None)) is None:
                raise DataError(
                    f"the source files must hold the imported rows, line {wanted} with id {train_id!r} is in none of "
                    "them: import the data again."
                )
            lines = _numbered_lines(path)
        yield line, is_kept


def _line_at(lines: Iterator[tuple[int, bytes]], wanted: int) -> bytes | None:
    for number, line in lines:
        if number >= wanted:
            return line if number == wanted else None
    return None


def _numbered_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    with open_bytes(path, math.inf) as handle:  # it was imported, whatever it holds
        for number, line in enumerate(handle, start=1):
            yield number, line.removeprefix(UTF8_MARK) if number == 1 else line


def _is_row(line: bytes, train_id: str, columns: Columns, keeps_empty: bool) -> bool:
    """Whether a line is a usable row with this id."""
    try:
        values = json.loads(line.decode("utf-8"))
        if not isinstance(values, dict):
            return False
        if problem_of_row(values, columns, keeps_empty=keeps_empty):
            return False
        given = None if columns.id is None else given_id(values.get(columns.id))
        if given is not None:
            return given == train_id
        rules = 1 if train_id.startswith("h") else 2
        hashed = hash_of_row(values, columns, content_of_row(values, columns), rules)
    except (ValueError, RecursionError):
        return False
    return train_id.split("-")[0] == hashed
