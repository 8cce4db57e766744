"""What an export's format does not hold of the data, column by column, said before it is written.

Each sentence names a column in backticks. A column without one comes back with the same values and the same type
when the file is imported.
"""

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from lorif_core.data.cells import CellScan
from lorif_core.data.column_types import word_of
from lorif_core.data.export_columns import ExportedColumn, columns_of, typed_columns_of
from lorif_core.data.export_csv import cells_of, neutralise
from lorif_core.data.export_schema import HUB_KEY, held_fields
from lorif_core.data.export_selection import Selection
from lorif_core.data.export_types import type_of_column

is_type = pa.types
FORMAT_NAMES = {"jsonl": "JSON", "parquet": "Parquet", "csv": "CSV", "hf": "a `datasets` folder"}
NUMBERS = (is_type.is_boolean, is_type.is_integer, is_type.is_floating)


@dataclass(frozen=True)
class ExportLosses:
    """What a format changes."""

    sentences: list[str] = field(default_factory=list)
    """One for each column and change."""

    guarded: dict[str, int] = field(default_factory=dict)
    """Column → cells that get an apostrophe, so that no spreadsheet runs them; those of the header count as one."""

    @property
    def num_guarded(self) -> int:
        """All cells that get an apostrophe."""
        return sum(self.guarded.values())


def find_losses(selection: Selection, *, copies_lines: bool = False) -> ExportLosses:
    """What the format of the settings does not hold of the kept examples.

    Args:
        selection: The examples, and the format.
        copies_lines: Whether the lines of the imported files are copied, which loses nothing.

    Raises:
        DataError: A column does not fit its source's type, or ``datasets`` is not installed.
    """
    file_format = selection.settings.format or "jsonl"
    if file_format == "jsonl":
        return ExportLosses() if copies_lines else ExportLosses(list(_json_losses(selection)))
    if file_format == "csv":
        return _csv_losses(selection)
    return ExportLosses(list(_typed_losses(selection, file_format)))


def _typed_losses(selection: Selection, file_format: str) -> Iterable[str]:
    columns, words = typed_columns_of(selection), FORMAT_NAMES[file_format]
    source = selection.table.source_schema
    metadata = None if source is None else source.metadata
    for column, held in zip(columns, held_fields(columns, file_format, metadata), strict=True):
        name, kind = f"`{column.name}`", column.field.type
        if column.is_mixed:
            yield f"{name} holds {_scalars(selection, column)}; {words} has one type a column, so all become text."
        elif column.is_json and is_type.is_string(held.written.type):
            yield f"{name} becomes JSON text: no type of {words} holds all its values as they are."
        elif held.read.type != kind:
            yield f"{name} ({kind}) is read back from {words} as {held.read.type}."
        if is_type.is_dictionary(kind) and kind.ordered:
            yield f"{name} (ordered) lists its words in the order in which they occur."
        if column.field.nullable != held.read.nullable:
            yield f"{name}: {words} does not keep that no value may be missing."
        if column.field.metadata and not held.read.metadata:
            yield f"{name}: {words} does not keep the notes on this field ({_keys(column.field.metadata)})."
    other = {key for key in metadata or {} if key != HUB_KEY}
    if file_format == "hf" and other:
        yield f"The data's own notes ({_keys(other)}) are not kept: {words} has no place for them."


def _json_losses(selection: Selection) -> Iterable[str]:
    columns = columns_of(selection)
    surveys = {column.name: _JsonSurvey(column) for column in columns}
    for table in selection.iter_kept():
        for column in columns:
            surveys[column.name].add(column.plain(table[column.name]))
    for survey in surveys.values():
        yield from survey.sentences()


class _JsonSurvey:
    """What JSON makes of one column."""

    def __init__(self, column: ExportedColumn):
        self._column = column
        self._num_odd = 0
        self._is_missing = self._fits = True
        self._texts: list[str] = []

    def add(self, values: list[Any]) -> None:
        """Look at the values of some kept rows."""
        present = [value for value in values if value is not None]
        self._is_missing = self._is_missing and not present
        kind = self._column.field.type
        if self._column.is_json:
            odd = [text for text in present if "NaN" in text or "Infinity" in text]
            self._num_odd += sum(_num_not_finite(json.loads(text)) for text in odd)
            self._texts += present if self._column.has_source_type else []
        elif is_type.is_floating(kind):
            self._num_odd += sum(not math.isfinite(value) for value in present)
        elif is_type.is_integer(kind):
            self._fits = self._fits and all(value < 2**63 for value in present)

    def sentences(self) -> Iterable[str]:
        """What is said about the column."""
        name, kind = f"`{self._column.name}`", self._column.field.type
        read = self._read_back()
        if read is not None and read != kind:
            yield f"{name} ({kind}) becomes {_json_words(kind)}, which an import reads as {read}."
        if self._num_odd:
            yield (
                f"{name} holds {self._num_odd:,} numbers that are NaN or infinite, for which JSON has no spelling: "
                "they are written as NaN, Infinity and -Infinity, which Python and pandas read and others refuse."
            )

    def _read_back(self) -> pa.DataType | None:
        """The type that an import finds; None: this column has none in its source either."""
        column, kind = self._column, self._column.field.type
        if column.is_json:
            return (type_of_column(self._texts) or pa.string()) if column.has_source_type else None
        if self._is_missing or not any(is_of(kind) for is_of in NUMBERS):
            return pa.string()
        if is_type.is_integer(kind):
            return pa.int64() if self._fits else pa.uint64()
        return pa.bool_() if is_type.is_boolean(kind) else pa.float64()


def _csv_losses(selection: Selection) -> ExportLosses:
    columns = columns_of(selection)
    surveys = {column.name: _CsvSurvey(column, selection) for column in columns}
    guards = selection.settings.guards_formulas
    guarded = {name: int(neutralise(name) != name) for name in (*surveys, *selection.added_names)}
    for table in selection.iter_kept():
        cells = {column.name: cells_of(column, table) for column in columns}
        for name, found in cells.items():
            surveys[name].add(found, table[name])
        cells |= {name: [text or "" for text in table[name].to_pylist()] for name in selection.added_names}
        for name, found in cells.items():
            guarded[name] += sum(neutralise(cell) != cell for cell in found)
    sentences = [sentence for survey in surveys.values() for sentence in survey.sentences()]
    found = {name: count for name, count in guarded.items() if count and guards}
    if found:
        places = ", ".join(f"`{name}` {count:,}" for name, count in found.items())
        sentences.append(
            f"{sum(found.values()):,} cells begin as formulas do and get an apostrophe in front, which an import "
            f"reads as part of the text ({places}): `--formulas keep` writes them as they are."
        )
    return ExportLosses(sentences, found)


class _CsvSurvey:
    """What CSV makes of one column."""

    def __init__(self, column: ExportedColumn, selection: Selection):
        self._column = column
        self._is_read = column.stored_name in selection.table.columns.read_columns
        self._num_empty = 0
        self._cells = CellScan()

    def add(self, cells: list[str], values: pa.ChunkedArray) -> None:
        """Look at the cells of some kept rows."""
        is_blank = [not cell.strip() for cell in cells]
        self._num_empty += sum(is_blank) - values.null_count
        if not self._is_read and "text" not in self._cells.kinds:
            for cell, blank in zip(cells, is_blank, strict=True):
                if not blank:
                    self._cells.add(cell, 0)

    def sentences(self) -> Iterable[str]:
        """What is said about the column."""
        name, kind = f"`{self._column.name}`", self._column.field.type
        read = pa.string() if self._is_read else self._cells.found
        if self._column.is_mixed:
            yield f"{name} holds scalars of several types; CSV has text only, so their types are not kept."
        elif self._column.is_json:
            yield f"{name} becomes JSON text: CSV holds no lists and objects."
        if is_type.is_string(kind) and read != kind:
            yield (
                f"{name} is text that an import of CSV reads as {word_of(read)}: pass it "
                f"`--type {self._column.name}=text`."
            )
        elif read != kind and not self._column.is_json:
            yield f"{name} ({kind}) becomes cells that an import reads as {word_of(read)}."
        if self._num_empty:
            yield (
                f"{self._num_empty:,} cells of {name} are empty or blank texts, which CSV does not tell from missing "
                "values: an import reads them as missing."
            )


def _scalars(selection: Selection, column: ExportedColumn) -> str:
    num_texts = num_others = 0
    for table in selection.iter_kept():
        texts = [text for text in table[column.name].to_pylist() if text is not None]
        num_texts += sum(text.startswith('"') for text in texts)
        num_others += sum(not text.startswith('"') for text in texts)
    return f"{num_texts:,} texts and {num_others:,} other values"


def _num_not_finite(value: Any) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return sum(map(_num_not_finite, value))
    return isinstance(value, float) and not math.isfinite(value)


def _json_words(kind: pa.DataType) -> str:
    words: tuple[tuple[Callable[[pa.DataType], bool], str], ...] = (
        (is_type.is_boolean, "true and false"),
        (is_type.is_integer, "whole numbers"),
        (is_type.is_floating, "numbers"),
        (is_type.is_decimal, "its digits as text"),
        (is_type.is_temporal, "text, such as 2026-03-01 12:00:00"),
        (is_type.is_map, "lists of pairs"),
        (is_type.is_nested, "JSON"),
    )
    return next((said for is_of, said in words if is_of(kind)), "text")


def _keys(metadata: Iterable[bytes]) -> str:
    return ", ".join(sorted(key.decode("utf-8", "replace") for key in metadata))
