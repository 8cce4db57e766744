"""Rows of data that Arrow reads: Parquet and Arrow files, folders saved by ``datasets``, and data sets of the hub."""

import json
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lorif_core.data.plain_values import plain_values
from lorif_core.data.record import Record, failed_reads_named, refuse_repeated_names
from lorif_core.errors import DataError
from lorif_core.plain_files import most_bytes, too_much

ROWS_PER_BATCH = 256
ARROW_MAGIC = b"ARROW1"
SAVED_MARK = "state.json"
"""A file that every folder made by ``save_to_disk`` has."""

HUB_HINT = "If it is a data set of the Hugging Face hub, name its split, such as `--split train`."


def iter_parquet(path: Path, most_gb: float | None = None) -> Iterator[Record]:
    """Rows of a Parquet file.

    Args:
        path: The file.
        most_gb: What it may hold; None: by its size.
    """
    with failed_reads_named(path), pq.ParquetFile(path) as file:
        refuse_large_parquet(path, file.metadata, most_gb)
        refuse_repeated_names(path, file.schema_arrow.names)
        yield from _records_of_batches(file.iter_batches(batch_size=ROWS_PER_BATCH))


def refuse_large_parquet(path: Path, metadata: pq.FileMetaData, most_gb: float | None = None) -> None:
    """Refuse a Parquet file that says of itself that it holds more than it may: in bytes, or one byte a row.

    Raises:
        DataError: It does, or the numbers of its parts contradict each other.
    """
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    sizes = [(group.num_rows, group.total_byte_size) for group in groups]
    if any(min(numbers) < 0 for numbers in sizes) or sum(rows for rows, _ in sizes) != metadata.num_rows:
        raise DataError(
            f"the row groups of a Parquet file must add up to its {metadata.num_rows:,} rows, those of {str(path)!r} "
            "do not: write it again."
        )
    most = most_bytes(path, most_gb)
    if max(metadata.num_rows, sum(size for _, size in sizes)) > most:
        raise too_much(path, most)


def iter_arrow(path: Path) -> Iterator[Record]:
    """Rows of an Arrow file, of the format with a footer or of a stream."""
    with failed_reads_named(path), path.open("rb") as handle:
        has_footer = handle.read(len(ARROW_MAGIC)) == ARROW_MAGIC
        handle.seek(0)
        if has_footer:
            file = pa.ipc.open_file(handle)
            refuse_repeated_names(path, file.schema.names)
            yield from _records_of_batches(file.get_batch(number) for number in range(file.num_record_batches))
        else:
            stream = pa.ipc.open_stream(handle)
            refuse_repeated_names(path, stream.schema.names)
            yield from _records_of_batches(stream)


def splits_of_saved(path: Path) -> list[str] | None:
    """Names of the splits of a folder made by ``DatasetDict.save_to_disk``; None: it is none."""
    file = path / "dataset_dict.json"
    with failed_reads_named(path):
        return list(json.loads(file.read_text(encoding="utf-8"))["splits"]) if file.exists() else None


def iter_saved_dataset(path: Path) -> Iterator[Record]:
    """Rows of a folder made by ``Dataset.save_to_disk``."""
    with failed_reads_named(path):
        if (names := splits_of_saved(path)) is not None:
            first = str(path / next(iter(names), "SPLIT"))
            raise DataError(
                f"{str(path)!r} holds several splits ({', '.join(names)}): name one, such as {first!r}, or choose it "
                "with `--split`, which takes several with commas between them, and all."
            )
        if not (path / SAVED_MARK).exists():
            raise DataError(
                f"{str(path)!r} is not a folder made by `save_to_disk` of `datasets`: give a file, or such a folder."
            )
        yield from _records_of_dataset(_datasets(str(path)).load_from_disk(str(path)))


def iter_hub(path: Path, split: str, subset: str | None) -> Iterator[Record]:
    """Rows of a data set of the Hugging Face hub, or of its copy in the local cache.

    Raises:
        DataError: It, its split or its subset is not there, or cannot be reached.
    """
    found = _loaded_from_hub(path, split, subset)
    with failed_reads_named(path):
        yield from _records_of_dataset(found)


def splits_of_hub(path: Path, subset: str | None) -> list[str]:
    """Names of the splits of a data set of the hub.

    Raises:
        DataError: It or its subset is not there, or cannot be reached.
    """
    return list(_loaded_from_hub(path, None, subset))


def _loaded_from_hub(path: Path, split: str | None, subset: str | None) -> Any:
    name = path.as_posix()
    library = _datasets(name)
    try:
        return library.load_dataset(name, subset, split=split)
    except (OSError, ValueError, RuntimeError, pa.ArrowException, library.exceptions.DatasetsError) as error:
        said = " ".join(str(error).split())[:300].rstrip(".")
        which = "the hub data set" if split is None else f"split {split!r} of the hub data set"
        raise DataError(
            f"{which} {name!r} cannot be loaded ({said}): check its name, `--split` and "
            "`--subset`, and that the hub can be reached or the data set is in the local cache."
        ) from error


def may_be_hub(path: Path) -> bool:
    """Whether a path that does not exist looks like the name of a hub data set."""
    return re.fullmatch(r"[\w][\w.-]*(/[\w][\w.-]*)?", path.as_posix()) is not None


def _datasets(what: str) -> Any:
    try:
        import datasets
    except ImportError as error:
        raise DataError(
            f"{what!r} is read with the library `datasets`, which is not installed: run "
            "`pip install 'lorif-studio[datasets]'`."
        ) from error
    return datasets


def _records_of_dataset(found: Any) -> Iterator[Record]:
    # Arrow tables, not rows: `datasets` would decode images and audio, which nobody reads here.
    tables = found.with_format("arrow").iter(batch_size=ROWS_PER_BATCH)
    return _records_of_batches(chain.from_iterable(table.to_batches() for table in tables))


def _records_of_batches(batches: Iterable[pa.RecordBatch]) -> Iterator[Record]:
    number = 0
    slices = (
        batch.slice(start, ROWS_PER_BATCH) for batch in batches for start in range(0, len(batch), ROWS_PER_BATCH)
    )
    for batch in slices:
        for values in _rows_of(batch):
            number += 1
            yield Record(number, None, "not UTF-8") if values is None else Record(number, values, None)


def _rows_of(batch: pa.RecordBatch) -> list[dict[str, Any] | None]:
    """Rows as plain values, None where text is not UTF-8."""
    names = batch.schema.names
    try:
        columns = [plain_values(column) for column in batch.columns]
    except UnicodeDecodeError:
        if batch.num_rows == 1:
            return [None]
        return [_rows_of(batch.slice(row, 1))[0] for row in range(batch.num_rows)]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def schema_of_table(path: Path, split: str | None, subset: str | None) -> pa.Schema:
    """The schema of a Parquet or Arrow file, of a saved data set, or of one of the hub.

    Raises:
        DataError: It cannot be read.
    """
    with failed_reads_named(path):
        if path.is_dir():
            return _datasets(str(path)).load_from_disk(str(path)).features.arrow_schema
        if not path.exists():
            return _datasets(path.as_posix()).load_dataset(path.as_posix(), subset, split=split).features.arrow_schema
        if path.suffix.lower() == ".parquet":
            return pq.read_schema(path)
        with path.open("rb") as handle:
            has_footer = handle.read(len(ARROW_MAGIC)) == ARROW_MAGIC
            handle.seek(0)
            return (pa.ipc.open_file if has_footer else pa.ipc.open_stream)(handle).schema
