"""The bytes of an exported data set: JSONL, Parquet, CSV, or a folder that ``datasets`` loads.

The same examples, decisions and settings give the same bytes, with the same versions of pyarrow and ``datasets``.
Columns have the data's own names and order; nothing of the workspace is added unless decisions are asked for.

* JSONL: the source's own lines where it is JSONL (``export_lines``). Otherwise one object per line with every
  column, nulls included, as ``json.dumps(row, ensure_ascii=False)`` writes it.
* Parquet and ``datasets``: bool, int64, float64 and text; nested columns get a nested type where one holds all
  values of the data set exactly, and are JSON text otherwise (``export_types``).
* CSV: UTF-8, commas, LF, a header. Nothing for null, ``true`` and ``false``, JSON text for nested values. A
  spreadsheet runs cells that begin with ``= + - @``, tab, CR or LF as formulas, so such a cell gets an apostrophe
  in front, in the header too; plain numbers like -3.5 stay. No other format changes a value.
"""

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from lorif_core.data.csv_source import MAX_CELL_CHARACTERS
from lorif_core.data.export_lines import copy_lines
from lorif_core.data.export_selection import Selection, iter_groups
from lorif_core.data.export_types import type_of_column
from lorif_core.errors import ConfigError, DataError
from lorif_core.files import checksum_of_file

GROUP_ROWS = 2_000
GROUP_BYTES = 16 << 20
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
PLAIN_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
ARROW_FILE = "data-00000-of-00001.arrow"
FORMAT_OF_SUFFIX = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".jsonlines": "jsonl",
    ".parquet": "parquet",
    ".csv": "csv",
}
FILE_OF_FORMAT = {"jsonl": "data.jsonl", "parquet": "data.parquet", "csv": "data.csv"}
"""Name of the data file within an export; `hf` has several."""


class DataFile(NamedTuple):
    """One file of exported data."""

    name: str
    """Name within the export."""

    checksum: str
    """XXH3-128 of its bytes."""

    size_bytes: int
    """Its length."""


def choose_format(out: Path | None, wanted: str | None) -> str:
    """The format that the settings name, or that the suffix of ``out`` says.

    Raises:
        ConfigError: The suffix says nothing, or another format than the settings.
    """
    if out is None:
        return wanted or "jsonl"
    said = FORMAT_OF_SUFFIX.get(out.suffix.lower())
    if wanted is None and said is None:
        raise ConfigError(
            f"the suffix of `--out` says the format ({', '.join(FORMAT_OF_SUFFIX)}), {out.name!r} has none of these: "
            "change it, or pass `--format`."
        )
    if wanted is not None and said not in (None, wanted):
        raise ConfigError(
            f"`--out` and `--format` must agree, got {out.name!r} and {wanted!r}: change the suffix, or leave out "
            "`--format`."
        )
    return wanted or said or "jsonl"


def write_data(
    folder: Path,
    selection: Selection,
    source_files: Sequence[Path] = (),
    on_rows: Callable[[int], None] = lambda num_rows: None,
) -> list[DataFile]:
    """Write the kept examples into ``folder``.

    Args:
        folder: Exists; ``FILE_OF_FORMAT`` names the file in it.
        selection: The examples, and the format in its settings.
        source_files: JSONL files whose lines are copied; without them lines are written from the values.
        on_rows: Called with the number of examples written so far.

    Raises:
        DataError: The source files do not hold the rows, or `datasets` is not installed.
        OSError: The folder cannot be written.
    """
    file_format = selection.settings.format or "jsonl"
    if source_files:
        _copy_source_lines(folder / FILE_OF_FORMAT["jsonl"], selection, source_files, on_rows)
    else:
        WRITERS[file_format](folder, selection, _counted(selection.iter_kept(), on_rows))
    return describe_data(folder, file_format)


def describe_data(folder: Path, file_format: str) -> list[DataFile]:
    """The data files of an export, with their present checksums."""
    names = [FILE_OF_FORMAT[file_format]] if file_format in FILE_OF_FORMAT else [ARROW_FILE, *SAVED_FILES]
    return [describe_file(folder / name) for name in names]


def describe_file(path: Path) -> DataFile:
    """A file with its present checksum."""
    return DataFile(path.name, checksum_of_file(path), path.stat().st_size)


def count_rows(path: Path, file_format: str) -> int:
    """Examples in an exported data file.

    Raises:
        DataError: The file is not of this format.
    """
    try:
        return ROW_COUNTERS[file_format](path)
    except (pa.ArrowException, csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{str(path)!r} is no {file_format} file ({error}): export the data again.") from error


def _counted(tables: Iterable[pa.Table], on_rows: Callable[[int], None]) -> Iterator[pa.Table]:
    num_rows = 0
    for table in tables:
        yield table
        num_rows += table.num_rows
        on_rows(num_rows)


def _copy_source_lines(
    path: Path, selection: Selection, source_files: Sequence[Path], on_rows: Callable[[int], None]
) -> None:
    keeps_empty = selection.import_settings().keep_empty
    lines = copy_lines(source_files, selection.iter_lines(), selection.source_columns, keeps_empty=keeps_empty)
    with path.open("wb") as handle:
        for number, line in enumerate(lines, start=1):
            handle.write(line)
            if number % GROUP_ROWS == 0:
                on_rows(number)


def _json_names(selection: Selection) -> set[str]:
    return {selection.source_names[name] for name in selection.table.json_columns}


def _write_jsonl(folder: Path, selection: Selection, tables: Iterable[pa.Table]) -> None:
    nested = _json_names(selection)
    with (folder / FILE_OF_FORMAT["jsonl"]).open("wb") as handle:
        for table in tables:
            columns = [_spelled(table, name, name in nested) for name in table.column_names]
            handle.writelines(("{" + ", ".join(cells) + "}\n").encode() for cells in zip(*columns, strict=True))


def _spelled(table: pa.Table, name: str, is_json: bool) -> list[str]:
    spell = json.JSONEncoder(ensure_ascii=False).encode
    key = spell(name) + ": "
    values = table[name].to_pylist()
    if is_json:  # written by the import as ``json.dumps`` writes it here
        return [key + (value or "null") for value in values]
    return [key + spell(value) for value in values]


def _write_csv(folder: Path, selection: Selection, tables: Iterable[pa.Table]) -> None:
    names = [*selection.source_names.values(), *_added_names(selection)]
    with (folder / FILE_OF_FORMAT["csv"]).open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow([neutralise(name) for name in names])
        for table in tables:
            columns = [[_cell(value) for value in table[name].to_pylist()] for name in names]
            writer.writerows(zip(*columns, strict=True))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return neutralise(value if isinstance(value, str) else json.dumps(value))


def neutralise(cell: str) -> str:
    """The cell with an apostrophe in front when a spreadsheet would run it as a formula."""
    return f"'{cell}" if cell.startswith(FORMULA_STARTS) and not PLAIN_NUMBER.fullmatch(cell) else cell


def _added_names(selection: Selection) -> tuple[str, ...]:
    settings = selection.settings
    return (settings.status_column, settings.reason_column) if settings.with_decisions else ()


def _write_parquet(folder: Path, selection: Selection, tables: Iterable[pa.Table]) -> None:
    schema, nested = _arrow_schema(selection)
    # A file opened here, not by Arrow, so that its failures are those of the operating system.
    with (
        (folder / FILE_OF_FORMAT["parquet"]).open("wb") as handle,
        pq.ParquetWriter(handle, schema, compression="zstd", write_page_checksum=True) as writer,
    ):
        for table in _regrouped(_typed(table, schema, nested) for table in tables):
            writer.write_table(table, row_group_size=table.num_rows)


def _write_saved_dataset(folder: Path, selection: Selection, tables: Iterable[pa.Table]) -> None:
    try:
        import datasets
    except ImportError as error:
        raise DataError(
            "a `datasets` folder is written with that library, which is not installed: run "
            "`pip install 'lorif-studio[datasets]'`, or choose another `--format`."
        ) from error
    schema, nested = _arrow_schema(selection)
    features = datasets.Features.from_arrow_schema(schema)
    schema = schema.with_metadata(features.arrow_schema.metadata)
    with (folder / ARROW_FILE).open("wb") as handle, pa.ipc.new_stream(handle, schema) as stream:
        for table in _regrouped(_typed(table, schema, nested) for table in tables):
            stream.write_table(table)
    datasets.DatasetInfo(features=features).write_to_directory(str(folder))
    state = {
        "_data_files": [{"filename": ARROW_FILE}],
        # `datasets` finds cached results by it, so it must differ with the content.
        "_fingerprint": checksum_of_file(folder / ARROW_FILE)[:16],
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": None,
    }
    (folder / "state.json").write_text(json.dumps(state, indent=2) + "\n", encoding="utf-8")


def _arrow_schema(selection: Selection) -> tuple[pa.Schema, set[str]]:
    """Names and types of the exported columns, and which of them are parsed from JSON text."""
    stored = pq.read_schema(selection.path)
    fields: list[tuple[str, pa.DataType]] = []
    parsed: set[str] = set()
    for stored_name, name in selection.source_names.items():
        found = None
        if stored_name in selection.table.json_columns:
            found = type_of_column(_texts_of(selection.path, stored_name))
            parsed |= set() if found is None else {name}
        fields.append((name, found or stored.field(stored_name).type))
    fields += [(name, pa.string()) for name in _added_names(selection)]
    return pa.schema(fields), parsed


def _texts_of(path: Path, column: str) -> Iterator[str | None]:
    for table in iter_groups(path, [column]):
        yield from table[column].to_pylist()


def _typed(table: pa.Table, schema: pa.Schema, parsed: set[str]) -> pa.Table:
    columns = []
    for field in schema:
        column = table[field.name]
        if field.name in parsed:
            values = [None if text is None else json.loads(text) for text in column.to_pylist()]
            column = pa.array(values, field.type)
        columns.append(column)
    return pa.Table.from_arrays(columns, schema=schema)


def _regrouped(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in fewer tables, so that few kept rows do not make many small groups."""
    pending: list[pa.Table] = []
    for table in tables:
        pending.append(table)
        if (
            sum(part.num_rows for part in pending) >= GROUP_ROWS
            or sum(part.nbytes for part in pending) >= GROUP_BYTES
        ):
            yield pa.concat_tables(pending).combine_chunks()
            pending = []
    if pending:
        yield pa.concat_tables(pending).combine_chunks()


def _count_lines(path: Path) -> int:
    with path.open("rb") as handle:
        return sum(1 for _ in handle)


def _count_csv_rows(path: Path) -> int:
    csv.field_size_limit(MAX_CELL_CHARACTERS)
    with path.open(encoding="utf-8", newline="") as handle:
        return sum(1 for _ in csv.reader(handle)) - 1


def _count_parquet_rows(path: Path) -> int:
    return pq.read_metadata(path).num_rows


def _count_arrow_rows(path: Path) -> int:
    with path.open("rb") as handle, pa.ipc.open_stream(handle) as stream:
        return sum(batch.num_rows for batch in stream)


SAVED_FILES = ("dataset_info.json", "state.json")
WRITERS: dict[str, Callable[[Path, Selection, Iterable[pa.Table]], None]] = {
    "jsonl": _write_jsonl,
    "csv": _write_csv,
    "parquet": _write_parquet,
    "hf": _write_saved_dataset,
}
ROW_COUNTERS: dict[str, Callable[[Path], int]] = {
    "jsonl": _count_lines,
    "csv": _count_csv_rows,
    "parquet": _count_parquet_rows,
    "hf": _count_arrow_rows,
}
