"""One row of a data file, and what all readers of files share."""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from lorif_core.errors import DataError

EXCERPT_CHARACTERS = 200


class Record(NamedTuple):
    """One row of a data file: either its values or what is wrong with it."""

    line: int
    """From 1: the line where the row starts (JSONL, CSV), or the number of the row (other formats)."""

    values: dict[str, Any] | None
    """Column name → value, or None when there is a problem."""

    problem: str | None
    """A short reason that is the same for all rows with this problem, or None."""

    detail: str = ""
    """What is particular to this row: where in it, which value."""

    excerpt: str = ""
    """Beginning of the raw row, when there is a problem."""

    has_cells: bool = False
    """Whether the values are texts of cells, whose types are still to be told."""


@contextmanager
def failed_reads_named(path: Path) -> Iterator[None]:
    """Turn what reading a file may raise into one sentence that names it.

    Raises:
        DataError: Reading failed.
    """
    try:
        yield
    except (OSError, EOFError, zlib.error, pa.ArrowException, KeyError, ValueError) as error:
        raise DataError(f"{str(path)!r} cannot be read ({error}): check it, or copy it again.") from error


def refuse_repeated_names(path: Path, names: list[str]) -> list[str]:
    """The names of columns, each of which is there once.

    Raises:
        DataError: One is there twice.
    """
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise DataError(f"column names must differ, {str(path)!r} repeats {repeated}: rename all but one.")
    return names
