"""CSV of an export: UTF-8, commas, LF, a header.

Nothing for null, ``true`` and ``false``, JSON text for nested values.

A cell is quoted where it holds a comma, a quote or either half of a line end, so that a lone CR reads back. A
spreadsheet runs cells that begin with ``= + - @``, tab, CR or LF as formulas, so unless `formulas` says ``keep``
such a cell gets an apostrophe in front, in the header too; plain numbers like -3.5 stay.
"""

import csv
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from lorif_core.data.export_columns import ExportedColumn, columns_of, text_of_json
from lorif_core.data.export_selection import Selection
from lorif_core.plain_files import MAX_LINE_BYTES

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
PLAIN_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
NEEDS_QUOTES = re.compile(r'[,"\r\n]')


def write_csv(path: Path, selection: Selection, tables: Iterable[pa.Table]) -> None:
    """Write kept examples, the added columns last."""
    columns = columns_of(selection)
    names = [*(column.name for column in columns), *selection.added_names]
    spell = neutralise if selection.settings.guards_formulas else str
    with path.open("w", encoding="utf-8", newline="") as handle:
        handle.write(_line(map(spell, names)))
        for table in tables:
            cells = [cells_of(column, table) for column in columns]
            cells += [[value or "" for value in table[name].to_pylist()] for name in selection.added_names]
            handle.writelines(_line(map(spell, row)) for row in zip(*cells, strict=True))


def cells_of(column: ExportedColumn, table: pa.Table) -> list[str]:
    """The text of each cell of a column, before it is guarded or quoted."""
    values = column.plain(table[column.name])
    if column.is_mixed:
        values = map(text_of_json, values)
    return [_cell(value) for value in values]


def neutralise(cell: str) -> str:
    """The cell with an apostrophe in front when a spreadsheet would run it as a formula."""
    return f"'{cell}" if cell.startswith(FORMULA_STARTS) and not PLAIN_NUMBER.fullmatch(cell) else cell


def count_csv_rows(path: Path) -> int:
    """Rows of a CSV file below its header."""
    csv.field_size_limit(MAX_LINE_BYTES)
    with path.open(encoding="utf-8", newline="") as handle:
        return sum(1 for _ in csv.reader(handle)) - 1


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def _line(cells: Iterable[str]) -> str:
    quoted: Sequence[str] = [_quoted(cell) if NEEDS_QUOTES.search(cell) else cell for cell in cells]
    return ",".join(quoted) + "\n" if quoted != [""] else '""\n'  # an empty line would be no row


def _quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"'
