"""Rows of the file formats people keep training data in, one reader for all.

A compressed file is read as what it holds: ``.jsonl.gz`` and ``.jsonl.zst`` as JSONL.

``iter_records`` streams: memory is bounded by the largest row, or by a few hundred rows of
a Parquet file. Two exceptions: a JSON file whose array lies in an object is read whole, and a quoted CSV
cell that is never closed is read to the end of the file before it can be reported.

A row that cannot be used is a ``Record`` with a problem, never an exception; only a file that
cannot be read at all raises. Values are plain Python (None, bool, int, float, str, list,
dict), their text always encodes to UTF-8, and formats with other types give text: dates and
times as Arrow prints them, decimals as digits, bytes as base64. Cells of CSV are texts, whose types are told later.
NaN and Infinity are accepted in JSON, as Python and pandas write them.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from lorif_core.config import TextUnit
from lorif_core.data.csv_source import delimiter_of, iter_csv, usual_delimiter
from lorif_core.data.json_arrays import iter_array
from lorif_core.data.record import EXCERPT_CHARACTERS, TOO_LONG, Record, excerpt_of
from lorif_core.data.table_sources import (
    HUB_HINT,
    iter_arrow,
    iter_hub,
    iter_parquet,
    iter_saved_dataset,
    may_be_hub,
    schema_of_table,
)
from lorif_core.data.text_files import OPENERS, bad_byte, encoding_hint, is_utf16, iter_lines, open_text
from lorif_core.errors import DataError
from lorif_core.plain_files import MAX_LINE_BYTES, refuse_special

PEEKED_BYTES = 4_096
MAX_WHOLE_BYTES = 2 << 30
"""The largest JSON file that is read whole."""


class HowToRead(NamedTuple):
    """What a person says about files besides their names."""

    txt: TextUnit | None = None
    """What one text of a .txt file is."""

    split: str | None = None
    """Split of a hub data set."""

    subset: str | None = None
    """Configuration of a hub data set."""

    delimiter: str | None = None
    """What separates the cells of CSV files; None: what their first rows say."""

    encoding: str | None = None
    """Of text files; None: UTF-8, or UTF-16 by its mark."""

    most_gb: float | None = None
    """What a compressed file may hold; None: by its size."""


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
    refuse_special(path)
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
    return _in_encoding(how, _refuse_empty(path, READERS[suffix](path, how)))


def _in_encoding(how: HowToRead, records: Iterator[Record]) -> Iterator[Record]:
    """Rows whose problem names the encoding that does not decode them."""
    if how.encoding is None:
        return records
    named = f"not {how.encoding}"
    return (one._replace(problem=named, detail="") if one.problem == "not UTF-8" else one for one in records)


def file_notes(path: Path, how: HowToRead = AS_IT_IS) -> list[str]:
    """What is found out about a file and was not said: its separator, its encoding."""
    if not path.is_file() or suffix_of(path) not in ZIPPABLE:
        return []
    notes = [f"`{path.name}` is UTF-16"] if how.encoding is None and is_utf16(path) else []
    if suffix_of(path) in (".csv", ".tsv") and how.delimiter is None:
        found = delimiter_of(path, how.encoding)
        if found != usual_delimiter(path):
            said = "tab" if found == "\t" else f"`{found}`"
            notes.append(f"cells of `{path.name}` are separated by {said}")
    return notes


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


def _iter_jsonl(path: Path, how: HowToRead) -> Iterator[Record]:
    with open_text(path, how.encoding, how.most_gb) as (handle, offset):
        # Bytes split at \n only. Text would also be split at U+2028, which JSON allows in strings.
        for number, (line, length) in enumerate(iter_lines(handle), start=1):
            if length > MAX_LINE_BYTES:
                yield _too_long(number, line)
            elif line.strip():
                yield _record_of_json_line(number, line, offset)
            offset += length


def _too_long(number: int, content: bytes) -> Record:
    return Record(number, None, TOO_LONG, excerpt=excerpt_of(content))


def _record_of_json_line(number: int, line: bytes, offset: int) -> Record:
    excerpt = excerpt_of(line.lstrip())
    try:
        value = json.loads(line.decode("utf-8").rstrip("\r\n"))
    except UnicodeDecodeError as error:
        return Record(number, None, "not UTF-8", bad_byte(line, error, offset), excerpt)
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


def _iter_json(path: Path, how: HowToRead) -> Iterator[Record]:
    with open_text(path, how.encoding, how.most_gb) as (handle, offset):
        try:
            for number, (row, has_escapes) in enumerate(_json_rows(path, handle, offset), start=1):
                excerpt = json.dumps(row)[:EXCERPT_CHARACTERS] if not isinstance(row, dict) or has_escapes else ""
                yield _record_of_value(number, row, excerpt, has_escapes=has_escapes)
        except UnicodeDecodeError as error:
            raise DataError(f"{str(path)!r} is not UTF-8 ({error.reason}): {encoding_hint(path)}.") from error
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"{str(path)!r} is not a JSON value ({error}). If it holds one object per line, rename it to .jsonl."
            ) from error


def _json_rows(path: Path, handle: Any, offset: int) -> Iterator[tuple[Any, bool]]:
    """Rows of a JSON file, and whether they have escapes: those of an array one by one."""
    start = handle.peek(PEEKED_BYTES)[:PEEKED_BYTES].lstrip()
    if start[:1] == b"[":
        yield from iter_array(handle, offset)
        return
    content = handle.read(MAX_WHOLE_BYTES + 1)
    if len(content) > MAX_WHOLE_BYTES:
        raise DataError(
            f"a JSON file whose rows lie in an object is read whole and may have {MAX_WHOLE_BYTES >> 30} GiB, "
            f"{str(path)!r} has more: save the rows one per line as .jsonl."
        )
    if content.strip():
        has_escapes = b"\\u" in content
        yield from ((row, has_escapes) for row in _array_of_objects(path, json.loads(content.decode("utf-8"))))


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


def _iter_txt(path: Path, how: HowToRead) -> Iterator[Record]:
    if how.txt is None:
        raise DataError(
            f"{str(path)!r} may be one text or one text a line: pass `--txt file` or `--txt line` to say which."
        )
    with open_text(path, how.encoding, how.most_gb) as (handle, offset):
        if how.txt == "file":
            content = handle.read(MAX_LINE_BYTES + 1)
            is_long = len(content) > MAX_LINE_BYTES
            yield _too_long(1, content) if is_long else _record_of_text(1, content, offset, {"file": path.name})
            return
        for number, (line, length) in enumerate(iter_lines(handle), start=1):
            if length > MAX_LINE_BYTES:
                yield _too_long(number, line)
            elif line.strip():
                yield _record_of_text(number, line.rstrip(b"\r\n"), offset, {})
            offset += length


def _record_of_text(number: int, content: bytes, offset: int, beside: dict[str, Any]) -> Record:
    try:
        return Record(number, {"text": content.decode("utf-8"), **beside}, None)
    except UnicodeDecodeError as error:
        return Record(number, None, "not UTF-8", bad_byte(content, error, offset), excerpt_of(content))


def _iter_cells(path: Path, how: HowToRead) -> Iterator[Record]:
    return iter_csv(path, how.delimiter, how.encoding, how.most_gb)


READERS: dict[str, Callable[[Path, HowToRead], Iterator[Record]]] = {
    ".jsonl": _iter_jsonl,
    ".ndjson": _iter_jsonl,
    ".jsonlines": _iter_jsonl,
    ".json": _iter_json,
    ".csv": _iter_cells,
    ".tsv": _iter_cells,
    ".parquet": lambda path, how: iter_parquet(path, how.most_gb),
    ".arrow": lambda path, how: iter_arrow(path),
    ".feather": lambda path, how: iter_arrow(path),
}
"""Suffix → reader; that of a compression does not count. Text files have a reader of their own."""

SUFFIXES = (*READERS, ".txt")
ZIPPABLE = tuple(suffix for suffix in SUFFIXES if suffix not in (".parquet", ".arrow", ".feather"))
