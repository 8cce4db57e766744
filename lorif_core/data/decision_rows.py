"""Rows of a file of decisions: the list of an export, an export with decisions in it, or a table of one's own.

A row names an example by ``id`` (``train_id``) or by its text, and says its status. What else it may say: ``reason``,
``comment``, ``actor``, ``note`` (or ``notes``) and ``labels``. In the lists that an export writes, ``text`` is the
comment, because these hold no texts.
"""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lorif_core.data.table_sources import refuse_large_parquet
from lorif_core.errors import DataError
from lorif_core.plain_files import MAX_LINE_BYTES, refuse_special
from lorif_core.system_failures import refuse_if_of_the_machine

STATUSES = ("kept", "flagged", "excluded")
STATUS_NAMES = ("status", "decision", "lorif_status")
REASON_NAMES = ("reason", "decision_reason", "lorif_reason")
ID_NAMES = ("train_id", "id")
OF_A_LIST = ("batch_id", "row")
"""Keys that only the lists of an export have."""

csv.field_size_limit(MAX_LINE_BYTES)


@dataclass(frozen=True, kw_only=True)
class DecisionRow:
    """What one row says."""

    line: int
    """Of the file, from 1; of a Parquet file the row."""

    train_id: str | None
    text: str | None
    """The text that it is about, where the row has it."""

    status: str | None
    reason: str | None
    comment: str | None
    actor: str | None
    notes: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()


def iter_decision_rows(path: Path, text_columns: Sequence[str], id_column: str | None) -> Iterator[DecisionRow]:
    """Rows of a file: CSV, TSV, JSON lines or Parquet, by its suffix.

    Args:
        path: The file.
        text_columns: Columns that make a text in the data, in their order.
        id_column: Column that holds the ids in the data.

    Raises:
        DataError: The file cannot be read, or a row says nothing that can be understood; names the line.
    """
    refuse_special(path)
    if path.is_dir():
        raise DataError(f"{str(path)!r} is a folder: give the file of decisions in it, such as excluded.jsonl.")
    readers = {".csv": _csv, ".tsv": _csv, ".jsonl": _json_lines, ".jsonlines": _json_lines, ".parquet": _parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"decisions are read from {', '.join(readers)} files, got {str(path)!r}: convert it.")
    names = (*ID_NAMES, *([id_column] if id_column else []))
    try:
        for line, row in reader(path):
            yield _row(path, line, row, text_columns, names)
    except UnicodeDecodeError as error:
        raise DataError(f"{str(path)!r} is not UTF-8 (byte {error.start + 1:,}): convert it.") from error
    except (OSError, csv.Error, pa.ArrowException) as error:
        refuse_if_of_the_machine(error, path)
        raise DataError(f"the decisions {str(path)!r} cannot be read ({error}): check the file.") from error


def _csv(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with path.open(encoding="utf-8-sig", newline="") as handle:
        first = handle.readline()
        handle.seek(0)
        delimiter = max("\t;,", key=first.count)
        reader = csv.DictReader(handle, delimiter=delimiter, strict=True)
        for row in reader:
            if None in row or None in row.values():
                raise DataError(
                    f"every row of {str(path)!r} has the columns of its first line, line {reader.line_num:,} has "
                    "others: correct it."
                )
            yield reader.line_num, {name: value for name, value in row.items() if value != ""}


def _json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with path.open(encoding="utf-8-sig", newline="\n") as handle:
        for number, line in enumerate(iter(partial(handle.readline, MAX_LINE_BYTES + 1), ""), 1):
            if len(line) > MAX_LINE_BYTES:
                raise DataError(
                    f"line {number:,} of {str(path)!r} is longer than {MAX_LINE_BYTES >> 20} MiB: correct it."
                )
            if not line.strip():
                continue
            try:
                row: Any = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DataError(
                    f"line {number:,} of {str(path)!r} is no JSON ({line[:40]!r}): correct it."
                ) from error
            if not isinstance(row, dict):
                raise DataError(f"line {number:,} of {str(path)!r} must be a JSON object, got {line[:40]!r}.")
            yield number, row


def _parquet(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    number = 0
    with pq.ParquetFile(path) as file:
        refuse_large_parquet(path, file.metadata)
        for batch in file.iter_batches(1024):
            for row in batch.to_pylist():
                number += 1
                yield number, row


def _row(
    path: Path, line: int, row: Mapping[str, Any], text_columns: Sequence[str], id_names: Sequence[str]
) -> DecisionRow:
    where = f"line {line:,} of {str(path)!r}"
    status = _first(row, STATUS_NAMES, where)
    if status is not None and (status := status.strip().casefold()) not in STATUSES:
        raise DataError(f"a status is one of {', '.join(STATUSES)}, {where} has {status[:40]!r}: correct it.")
    is_of_a_list = any(name in row for name in OF_A_LIST)
    found = DecisionRow(
        line=line,
        train_id=_first(row, id_names, where),
        text=None if is_of_a_list else _text(row, text_columns, where),
        status=status,
        reason=_first(row, REASON_NAMES, where),
        comment=_first(row, ("text",) if is_of_a_list else ("comment",), where),
        actor=_first(row, ("actor",), where),
        notes=_several(row, ("notes", "note"), where),
        labels=_several(row, ("labels", "label"), where),
    )
    if found.train_id is None and found.text is None:
        raise DataError(f"a decision names its text by `id` or by `text`, {where} has neither: add one of them.")
    if status == "excluded" and found.reason is None:
        raise DataError(f"an exclusion needs a reason, {where} has none: add the column `reason`.")
    return found


def _first(row: Mapping[str, Any], names: Sequence[str], where: str) -> str | None:
    for name in names:
        value = row.get(name)
        if value is None or value == "":
            continue
        if isinstance(value, str | int) and not isinstance(value, bool):
            return str(value)
        raise DataError(f"`{name}` is a text, {where} has {str(value)[:40]!r}: correct it.")
    return None


def _several(row: Mapping[str, Any], names: Sequence[str], where: str) -> tuple[str, ...]:
    for name in names:
        value = row.get(name)
        if isinstance(value, str):
            value = _listed(value)
        if value is None or value == []:
            continue
        if isinstance(value, list) and all(isinstance(one, str) for one in value):
            return tuple(dict.fromkeys(one for one in value if one.strip()))
        raise DataError(f"`{name}` is a text or a list of texts, {where} has {str(value)[:40]!r}: correct it.")
    return ()


def _listed(value: str) -> Any:
    """A list that a table holds as JSON; any other text is one."""
    if not value.startswith("["):
        return [value]
    try:
        return json.loads(value)
    except ValueError:
        return [value]


def _text(row: Mapping[str, Any], columns: Sequence[str], where: str) -> str | None:
    if columns and all(name in row for name in columns) and all(isinstance(row[one], str) for one in columns):
        return "".join(row[name] for name in columns)
    return _first(row, ("text",), where)
