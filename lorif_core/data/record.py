"""One row of a data file, and what all readers of files share."""

import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from lorif_core.errors import DataError
from lorif_core.plain_files import MAX_LINE_BYTES
from lorif_core.system_failures import refuse_if_of_the_machine

EXCERPT_CHARACTERS = 200
TOO_LONG = f"longer than {MAX_LINE_BYTES >> 20} MiB"
"""The problem of a row of which only the beginning was read."""

MAX_COLUMNS = 4_096
"""Columns that data may have."""

MOST_NAMED = 10
"""Column names that one sentence lists."""


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


def excerpt_of(content: bytes) -> str:
    """The beginning of a raw row as text."""
    return content[: 4 * EXCERPT_CHARACTERS].decode("utf-8", "replace").strip()[:EXCERPT_CHARACTERS]


@contextmanager
def failed_reads_named(path: Path) -> Iterator[None]:
    """Turn what reading a file may raise into one sentence that names it.

    Raises:
        DataError: Reading failed.
    """
    try:
        yield
    except (OSError, EOFError, zlib.error, pa.ArrowException, KeyError, ValueError) as error:
        refuse_if_of_the_machine(error, path)
        raise DataError(f"{str(path)!r} cannot be read ({error}): check it, or copy it again.") from error


def refuse_repeated_names(path: Path, names: list[str]) -> list[str]:
    """The names of columns, each of which is there once.

    Raises:
        DataError: One is there twice, or there are too many.
    """
    if len(names) > MAX_COLUMNS:
        raise DataError(
            f"data may have at most {MAX_COLUMNS:,} columns, {str(path)!r} has {len(names):,}: move some of them "
            "into one nested object, or leave them out."
        )
    repeated = sorted(name for name, count in Counter(names).items() if count > 1)
    if repeated:
        said = ", ".join(map(repr, repeated[:MOST_NAMED])) + (", …" if len(repeated) > MOST_NAMED else "")
        raise DataError(f"column names must differ, {str(path)!r} repeats [{said}]: rename all but one.")
    return names
