"""Rows of the file formats people keep training data in, one reader for all.

``iter_records`` streams: memory is bounded by the largest row, or by a few hundred rows of
a Parquet file. Two exceptions: a JSON file is one value and is read whole, and a quoted CSV
cell that is never closed is read to the end of the file before it can be reported.

A row that cannot be used is a ``Record`` with a problem, never an exception; only a file that
cannot be read at all raises. Values are plain Python (None, bool, int, float, str, list,
dict), their text always encodes to UTF-8, and formats with other types give text: dates and
times as Arrow prints them, decimals as digits, bytes as base64. Every CSV cell is text.
NaN and Infinity are accepted in JSON, as Python and pandas write them.
"""

import base64
import csv
import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from io import BufferedIOBase
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from lorif_core.errors import DataError

EXCERPT_CHARACTERS = 200
ROWS_PER_BATCH = 256
MAX_CELL_CHARACTERS = 2**31 - 1  # the largest limit that the csv module takes on every platform
UTF8_MARK = b"\xef\xbb\xbf"
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


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


def iter_records(path: Path) -> Iterator[Record]:
    """Rows of a data file, in its order.

    Args:
        path: A .jsonl, .ndjson, .json, .csv or .tsv file (also with .gz), a .parquet file, or a
            folder saved by ``datasets``.

    Raises:
        DataError: The file is missing, of an unknown kind, empty, or unreadable as a whole.
    """
    if path.is_dir():
        return _refuse_empty(path, _iter_saved_dataset(path))
    if not path.exists():
        raise DataError(f"{str(path)!r} does not exist: check the name and the folder.")
    suffix = _suffix_of(path)
    if suffix not in READERS:
        raise DataError(
            f"{path.name!r} has a suffix that is not known: use one of {', '.join(sorted(READERS))}, or a folder "
            "saved by `datasets` (`save_to_disk`)."
        )
    return _refuse_empty(path, READERS[suffix](path))


def _suffix_of(path: Path) -> str:
    name = path.name.lower()
    zipped = ".gz" if name.endswith(".gz") else ""
    return Path(name.removesuffix(zipped)).suffix + zipped


def _refuse_empty(path: Path, records: Iterator[Record]) -> Iterator[Record]:
    if (first := next(records, None)) is None:
        raise DataError(f"{str(path)!r} holds no rows: give a file with at least one example.")
    yield first
    yield from records


@contextmanager
def _open_bytes(path: Path) -> Iterator[BufferedIOBase]:
    """The file's bytes after its byte-order mark, unzipped."""
    is_zipped = path.suffix.lower() == ".gz"
    with _failed_reads_named(path), gzip.open(path) if is_zipped else path.open("rb") as handle:
        mark = handle.read(len(UTF8_MARK))
        if mark.startswith(UTF16_MARKS):
            raise DataError(f"{str(path)!r} is UTF-16, only UTF-8 is read: save it again as UTF-8.")
        handle.seek(len(UTF8_MARK) if mark == UTF8_MARK else 0)
        yield handle


@contextmanager
def _failed_reads_named(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, zlib.error, pa.ArrowException, KeyError, ValueError) as error:
        raise DataError(f"{str(path)!r} cannot be read ({error}): check it, or copy it again.") from error


def _iter_jsonl(path: Path) -> Iterator[Record]:
    with _open_bytes(path) as handle:
        offset = handle.tell()
        # Bytes split at \n only. Text would also be split at U+2028, which JSON allows in strings.
        for number, line in enumerate(handle, start=1):
            if line.strip():
                yield _record_of_json_line(number, line, offset)
            offset += len(line)


def _record_of_json_line(number: int, line: bytes, offset: int) -> Record:
    excerpt = line[: 4 * EXCERPT_CHARACTERS].decode("utf-8", "replace").strip()[:EXCERPT_CHARACTERS]
    try:
        value = json.loads(line.decode("utf-8").rstrip("\r\n"))
    except UnicodeDecodeError as error:
        return Record(number, None, "not UTF-8", _bad_byte(line, error, offset), excerpt)
    except json.JSONDecodeError as error:
        return Record(number, None, "not JSON", f"{error.msg} at character {error.pos + 1}", excerpt)
    except RecursionError:
        return Record(number, None, "nested too deeply", excerpt=excerpt)
    except ValueError:
        return Record(number, None, "not JSON", "a number has more digits than Python converts", excerpt)
    return _record_of_value(number, value, excerpt, has_escapes=b"\\u" in line)


def _record_of_value(number: int, value: Any, excerpt: str, *, has_escapes: bool) -> Record:
    if not isinstance(value, dict):
        return Record(number, None, "not an object", f"it is {_json_type(value)}", excerpt)
    if has_escapes and not _is_encodable(value):
        return Record(number, None, "half a surrogate pair", "such as \\ud800, which is no character", excerpt)
    return Record(number, value, None)


def _is_encodable(value: Any) -> bool:
    # Too deep is another problem, which the importer reports.
    with suppress(RecursionError):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            return False
    return True


def _json_type(value: Any) -> str:
    return {list: "an array", str: "a string", type(None): "null"}.get(type(value), "a number or boolean")


def _iter_json(path: Path) -> Iterator[Record]:
    with _open_bytes(path) as handle:
        start = handle.tell()
        content = handle.read()
    if not content.strip():
        return
    try:
        value = json.loads(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        place = _bad_byte(content, error, start)
        raise DataError(f"{str(path)!r} is not UTF-8 ({place}): save it again as UTF-8.") from error
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{str(path)!r} is not a JSON value ({error}). If it holds one object per line, rename it to .jsonl."
        ) from error
    has_escapes = b"\\u" in content
    for number, row in enumerate(_array_of_objects(path, value), start=1):
        excerpt = json.dumps(row)[:EXCERPT_CHARACTERS] if not isinstance(row, dict) or has_escapes else ""
        yield _record_of_value(number, row, excerpt, has_escapes=has_escapes)


def _array_of_objects(path: Path, value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    found = _json_type(value)
    if isinstance(value, dict):
        lists = (rows for rows in value.values() if isinstance(rows, list))
        arrays = [rows for rows in lists if any(isinstance(row, dict) for row in rows)]
        if len(arrays) == 1:
            return arrays[0]
        found = f"an object with {len(arrays)} arrays of objects"
    raise DataError(
        f"a JSON file must hold an array of objects, or an object with one such array; {str(path)!r} holds {found}. "
        "Save the rows as one array, or one per line as .jsonl."
    )


def _bad_byte(content: bytes, error: UnicodeDecodeError, offset: int) -> str:
    return f"byte 0x{content[error.start]:02x} at offset {offset + error.start}"


class _CsvLines:
    """Lines of a CSV file as text; remembers where bytes were not UTF-8."""

    def __init__(self, handle: BufferedIOBase):
        self.bad_byte = ""
        self._handle = handle
        self._offset = handle.tell()

    def __iter__(self) -> Iterator[str]:
        for line in self._handle:
            try:
                yield line.decode("utf-8")
            except UnicodeDecodeError as error:
                self.bad_byte = self.bad_byte or _bad_byte(line, error, self._offset)
                yield line.decode("utf-8", "replace")
            self._offset += len(line)

    def take_bad_byte(self) -> str:
        """Place of the first bad byte since the last call, or an empty string."""
        found, self.bad_byte = self.bad_byte, ""
        return found


def _iter_csv(path: Path) -> Iterator[Record]:
    delimiter = "\t" if _suffix_of(path).startswith(".tsv") else ","
    # The limit belongs to the whole process and is checked at every cell, so it stays raised.
    csv.field_size_limit(MAX_CELL_CHARACTERS)
    with _open_bytes(path) as handle:
        lines = _CsvLines(handle)
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
                yield Record(line, None, "not CSV", f"{error}, in lines {line} to {reader.line_num}")
                continue
            bad_byte = lines.take_bad_byte()
            if not cells:
                continue
            excerpt = delimiter.join(cells)[:EXCERPT_CHARACTERS]
            if bad_byte:
                yield Record(line, None, "not UTF-8", bad_byte, excerpt)
            elif len(cells) != len(names):
                detail = f"{len(cells)} cells, the header has {len(names)}"
                yield Record(line, None, "wrong number of cells", detail, excerpt)
            else:
                yield Record(line, dict(zip(names, cells, strict=True)), None)


def _csv_header(path: Path, reader: Iterator[list[str]], lines: _CsvLines) -> list[str]:
    try:
        names = next((cells for cells in reader if cells), [])
    except csv.Error as error:
        raise DataError(
            f"the header of {str(path)!r} is not CSV ({error}): save the file with a header line, cells that "
            "contain quotes quoted, and lines that end in LF."
        ) from error
    if bad_byte := lines.take_bad_byte():
        raise DataError(f"the header of {str(path)!r} is not UTF-8 ({bad_byte}): save the file again as UTF-8.")
    return _refuse_repeated_names(path, names)


def _refuse_repeated_names(path: Path, names: list[str]) -> list[str]:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise DataError(f"column names must differ, {str(path)!r} repeats {repeated}: rename all but one.")
    return names


def _iter_parquet(path: Path) -> Iterator[Record]:
    with _failed_reads_named(path), pq.ParquetFile(path) as file:
        _refuse_repeated_names(path, file.schema_arrow.names)
        yield from _records_of_batches(file.iter_batches(batch_size=ROWS_PER_BATCH))


def _iter_saved_dataset(path: Path) -> Iterator[Record]:
    with _failed_reads_named(path):
        splits = path / "dataset_dict.json"
        if splits.exists():
            names = json.loads(splits.read_text(encoding="utf-8"))["splits"]
            first = str(path / next(iter(names), "SPLIT"))
            raise DataError(f"{str(path)!r} holds several splits ({', '.join(names)}): name one, such as {first!r}.")
        if not (path / "state.json").exists():
            raise DataError(
                f"{str(path)!r} is not a folder made by `save_to_disk` of `datasets`: give a file, or such a folder."
            )
        try:
            import datasets
        except ImportError as error:
            raise DataError(
                f"{str(path)!r} is a saved `datasets` folder and that library is not installed: run "
                "`pip install 'lorif-studio[datasets]'`."
            ) from error
        saved: Any = datasets.load_from_disk(str(path))
        # Arrow tables, not rows: `datasets` would decode images and audio, which nobody reads here.
        tables = saved.with_format("arrow").iter(batch_size=ROWS_PER_BATCH)
        yield from _records_of_batches(chain.from_iterable(table.to_batches() for table in tables))


def _records_of_batches(batches: Iterable[pa.RecordBatch]) -> Iterator[Record]:
    number = 0
    for batch in batches:
        # Cast by Arrow, because Python's times have no nanoseconds.
        arrays = [array.cast(pa.string()) if pa.types.is_temporal(array.type) else array for array in batch.columns]
        for row in _rows_of(pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)):
            number += 1
            if row is None:
                yield Record(number, None, "not UTF-8")
            else:
                yield Record(number, {name: _plain(value) for name, value in row.items()}, None)


def _rows_of(batch: pa.RecordBatch) -> list[dict[str, Any] | None]:
    """Rows as Python values, None where text is not UTF-8."""
    try:
        return batch.to_pylist()
    except UnicodeDecodeError:
        if batch.num_rows == 1:
            return [None]
        return [_rows_of(batch.slice(row, 1))[0] for row in range(batch.num_rows)]


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, dict):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    return str(value)


READERS: dict[str, Callable[[Path], Iterator[Record]]] = {
    ".jsonl": _iter_jsonl,
    ".ndjson": _iter_jsonl,
    ".json": _iter_json,
    ".csv": _iter_csv,
    ".tsv": _iter_csv,
}
READERS |= {f"{suffix}.gz": reader for suffix, reader in READERS.items()}
READERS[".parquet"] = _iter_parquet
