"""Rows of the file formats people keep training data in, one reader for all.

A compressed file is read as what it holds: ``.jsonl.gz`` and ``.jsonl.zst`` as JSONL.

``iter_records`` streams: memory is bounded by the largest row, or by a few hundred rows of
a Parquet file. Two exceptions: a JSON file is one value and is read whole, and a quoted CSV
cell that is never closed is read to the end of the file before it can be reported.

A row that cannot be used is a ``Record`` with a problem, never an exception; only a file that
cannot be read at all raises. Values are plain Python (None, bool, int, float, str, list,
dict), their text always encodes to UTF-8, and formats with other types give text: dates and
times as Arrow prints them, decimals as digits, bytes as base64. Cells of CSV are texts, whose types are told later.
NaN and Infinity are accepted in JSON, as Python and pandas write them.
"""

import csv
import gzip
import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from lorif_core.config import TextUnit
from lorif_core.data.record import EXCERPT_CHARACTERS, Record, failed_reads_named, refuse_repeated_names
from lorif_core.data.table_sources import (
    HUB_HINT,
    iter_arrow,
    iter_hub,
    iter_parquet,
    iter_saved_dataset,
    may_be_hub,
    schema_of_table,
)
from lorif_core.errors import DataError

MAX_CELL_CHARACTERS = 2**31 - 1  # the largest limit that the csv module takes on every platform
UTF8_MARK = b"\xef\xbb\xbf"
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


class HowToRead(NamedTuple):
    """What a person says about files besides their names."""

    txt: TextUnit | None = None
    """What one text of a .txt file is."""

    split: str | None = None
    """Split of a hub data set."""

    subset: str | None = None
    """Configuration of a hub data set."""


AS_IT_IS = HowToRead()


def iter_records(path: Path, how: HowToRead = AS_IT_IS) -> Iterator[Record]:
    """Rows of a data file, in its order.

    Args:
        path: A .jsonl, .ndjson, .jsonlines, .json, .csv, .tsv or .txt file (also with .gz or .zst), a .parquet,
            .arrow or .feather file, a folder saved by ``datasets``, or the name of a hub data set.
        how: What else must be said about some of them.

    Raises:
        DataError: The file is missing, of an unknown kind, empty, or unreadable as a whole.
    """
    if path.is_dir():
        return _refuse_empty(path, iter_saved_dataset(path))
    if not path.exists():
        return _refuse_empty(path, _iter_absent(path, how))
    suffix = suffix_of(path)
    if suffix == ".txt":
        return _refuse_empty(path, _iter_txt(path, how))
    if suffix not in READERS:
        raise DataError(
            f"{path.name!r} has a suffix that is not known: use one of {', '.join(sorted(SUFFIXES))} (text formats "
            f"also with {' or '.join(OPENERS)}), a folder of such files, or one saved by `datasets` (`save_to_disk`)."
        )
    return _refuse_empty(path, READERS[suffix](path))


def schema_of(path: Path, how: HowToRead = AS_IT_IS) -> pa.Schema | None:
    """What a file says about its columns; None: its format says nothing."""
    if path.is_file() and suffix_of(path) not in (".parquet", ".arrow", ".feather"):
        return None
    if not path.exists() and (how.split is None or not may_be_hub(path)):
        return None  # its reader says what is wrong
    return schema_of_table(path, how.split, how.subset)


def _iter_absent(path: Path, how: HowToRead) -> Iterator[Record]:
    if may_be_hub(path) and how.split is not None:
        return iter_hub(path, how.split, how.subset)
    hint = f" {HUB_HINT}" if may_be_hub(path) else ""
    raise DataError(f"{str(path)!r} does not exist: check the name and the folder.{hint}")


def suffix_of(path: Path) -> str:
    """The suffix that says the format, without that of a compression."""
    name = path.name.lower()
    for zipped in OPENERS:
        if name.endswith(zipped) and Path(name.removesuffix(zipped)).suffix in ZIPPABLE:
            return Path(name.removesuffix(zipped)).suffix
    return Path(name).suffix


def _refuse_empty(path: Path, records: Iterator[Record]) -> Iterator[Record]:
    if (first := next(records, None)) is None:
        raise DataError(f"{str(path)!r} holds no rows: give a file with at least one example.")
    yield first
    yield from records


@contextmanager
def open_bytes(path: Path) -> Iterator[io.BufferedIOBase]:
    """The file's bytes, unzipped.

    Raises:
        DataError: It cannot be read.
    """
    opened = OPENERS.get(path.suffix.lower(), lambda path: path.open("rb"))
    with failed_reads_named(path), opened(path) as handle:
        yield handle


def _open_zst(path: Path) -> io.BufferedReader:
    return io.BufferedReader(pa.input_stream(str(path), compression="zstd"))  # pyright: ignore[reportArgumentType]


OPENERS: dict[str, Callable[[Path], Any]] = {".gz": gzip.open, ".zst": _open_zst}
"""Suffix of a compression → what opens it; reads are checked, so that a cut file is an error."""


@contextmanager
def _open_text(path: Path) -> Iterator[tuple[Any, int]]:
    """The file's bytes after its byte-order mark, and where they begin."""
    with open_bytes(path) as handle:
        mark = handle.peek(len(UTF8_MARK))[: len(UTF8_MARK)]  # pyright: ignore[reportAttributeAccessIssue]
        if mark.startswith(UTF16_MARKS):
            raise DataError(f"{str(path)!r} is UTF-16, only UTF-8 is read: save it again as UTF-8.")
        yield handle, len(handle.read(len(UTF8_MARK))) if mark == UTF8_MARK else 0


def _iter_jsonl(path: Path) -> Iterator[Record]:
    with _open_text(path) as (handle, offset):
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
    with _open_text(path) as (handle, start):
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

    def __init__(self, handle: io.BufferedIOBase, offset: int):
        self.bad_byte = ""
        self._handle = handle
        self._offset = offset

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
    delimiter = "\t" if suffix_of(path) == ".tsv" else ","
    # The limit belongs to the whole process and is checked at every cell, so it stays raised.
    csv.field_size_limit(MAX_CELL_CHARACTERS)
    with _open_text(path) as (handle, offset):
        lines = _CsvLines(handle, offset)
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
                yield Record(line, dict(zip(names, cells, strict=True)), None, has_cells=True)


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
    return refuse_repeated_names(path, names)


def _iter_txt(path: Path, how: HowToRead) -> Iterator[Record]:
    if how.txt is None:
        raise DataError(
            f"{str(path)!r} may be one text or one text a line: pass `--txt file` or `--txt line` to say which."
        )
    with _open_text(path) as (handle, offset):
        if how.txt == "file":
            yield _record_of_text(1, handle.read(), offset, {"file": path.name})
            return
        for number, line in enumerate(handle, start=1):
            if line.strip():
                yield _record_of_text(number, line.rstrip(b"\r\n"), offset, {})
            offset += len(line)


def _record_of_text(number: int, content: bytes, offset: int, beside: dict[str, Any]) -> Record:
    try:
        return Record(number, {"text": content.decode("utf-8"), **beside}, None)
    except UnicodeDecodeError as error:
        excerpt = content[: 4 * EXCERPT_CHARACTERS].decode("utf-8", "replace")[:EXCERPT_CHARACTERS]
        return Record(number, None, "not UTF-8", _bad_byte(content, error, offset), excerpt)


READERS: dict[str, Callable[[Path], Iterator[Record]]] = {
    ".jsonl": _iter_jsonl,
    ".ndjson": _iter_jsonl,
    ".jsonlines": _iter_jsonl,
    ".json": _iter_json,
    ".csv": _iter_csv,
    ".tsv": _iter_csv,
    ".parquet": iter_parquet,
    ".arrow": iter_arrow,
    ".feather": iter_arrow,
}
"""Suffix → reader; that of a compression does not count. Text files have a reader of their own."""

SUFFIXES = (*READERS, ".txt")
ZIPPABLE = tuple(suffix for suffix in SUFFIXES if suffix not in (".parquet", ".arrow", ".feather"))
