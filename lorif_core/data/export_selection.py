"""Which examples of a data set an export keeps, and what they are called in the data they came from.

``examples.parquet`` is read one row group at a time, in its order. Memory grows with the number of decided
examples, and with nothing else.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from lorif_core.config import ImportConfig
from lorif_core.data.column_plan import OWN_COLUMNS, own_columns_of
from lorif_core.data.columns import Columns
from lorif_core.data.examples import ExampleTable
from lorif_core.data.forms import settings_of
from lorif_core.data.plain_values import plain_values
from lorif_core.data.row_ids import content_of_row
from lorif_core.errors import ConfigError, DamagedArtefact, DataError
from lorif_core.export_config import ExportConfig
from lorif_core.system_failures import refuse_if_of_the_machine

KEPT, FLAGGED = "kept", "flagged"
DETAILS = ("reason", "text", "actor", "at", "query_id", "batch_id", "rule", "has_conflict")
"""What a decision says besides its status."""

RENAME_PREFIX = "original_"


class Judged(NamedTuple):
    """One example and what was decided about it."""

    row: int
    """From 0, in the order of the data set."""

    train_id: str
    """The example."""

    status: str
    """``kept``, ``flagged`` or ``excluded``."""

    is_kept: bool
    """Whether the export holds it."""

    group: Any
    """Its value in the column by which examples are counted; None without such a column."""

    details: dict[str, Any] | None
    """The decision: reason, text, actor, time and so on, as far as they were given; None without a decision."""


class Decisions:
    """The present decision on each example that has one; all others are kept."""

    def __init__(self, states: pl.DataFrame):
        ids = states["train_id"].to_list()
        self._row_of: dict[str, int] = dict(zip(ids, range(len(ids)), strict=True))
        self._statuses: list[str] = states["status"].to_list()
        self._details = states.select(name for name in DETAILS if name in states.columns)

    def __len__(self) -> int:
        return len(self._row_of)

    def status_of(self, train_id: str) -> str:
        """``kept``, ``flagged`` or ``excluded``."""
        row = self._row_of.get(train_id)
        return KEPT if row is None else self._statuses[row]

    def details_of(self, train_id: str) -> dict[str, Any] | None:
        """Everything that is known about a decision but its status; None when there is no decision."""
        row = self._row_of.get(train_id)
        if row is None:
            return None
        found = self._details.row(row, named=True)
        return {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in found.items()
            if value is not None and value is not False
        }


@dataclass(frozen=True)
class Selection:
    """The examples of one ``examples.parquet`` with what was decided about them."""

    path: Path
    """The file."""

    decisions: Decisions
    """What people decided."""

    settings: ExportConfig
    """What is left out, and which columns are added."""

    id_name: str | None = None
    """Name of the id column in the data, where it is known that one was named."""

    @cached_property
    def table(self) -> ExampleTable:
        """What the file says about itself."""
        return ExampleTable(self.path)

    @cached_property
    def source_names(self) -> dict[str, str]:
        """Name in ``examples.parquet`` → name in the data it came from, in the data's order."""
        return source_names(self.path, self.table, self.id_name)

    @cached_property
    def source_columns(self) -> Columns:
        """The text and id columns by their names in the data."""
        return self.table.columns.renamed(self.source_names)

    @property
    def count_by(self) -> str | None:
        """Name in ``examples.parquet`` of the column by which examples are counted.

        Raises:
            ConfigError: The settings name one that the data do not have.
        """
        wanted = self.settings.count_by
        found = [stored for stored, name in self.source_names.items() if name == (wanted or "source")]
        if wanted is not None and not found:
            known = ", ".join(f"`{name}`" for name in self.source_names.values())
            raise ConfigError(
                f"examples are counted by a column of the data, {wanted!r} is none; the columns are {known}. Name "
                "one of them with `--count-by`."
            )
        return found[0] if found else None

    @property
    def added_names(self) -> tuple[str, ...]:
        """Columns of an export that the data did not have; they come last, and hold text."""
        settings = self.settings
        return (settings.status_column, settings.reason_column) if settings.with_decisions else ()

    def require_free_names(self) -> None:
        """Refuse added columns whose names the data use already.

        Raises:
            ConfigError: One does.
        """
        taken = [name for name in self.added_names if name in self.source_names.values()]
        if taken:
            raise ConfigError(
                f"an added column needs a name of its own, the data have a column {taken[0]!r} already: choose "
                "another with `--status-column` and `--reason-column`."
            )

    def is_kept(self, train_id: str) -> bool:
        """Whether the export holds an example."""
        status = self.decisions.status_of(train_id)
        return status == KEPT or (status == FLAGGED and not self.settings.drop_flagged)

    def iter_judged(self) -> Iterator[Judged]:
        """Every example with its decision."""
        row, group_column = 0, self.count_by
        names = ["train_id"] if group_column is None else ["train_id", group_column]
        for table in iter_groups(self.path, names):
            ids = table["train_id"].to_pylist()
            values = [None] * len(ids) if group_column is None else _countable(table[group_column])
            for train_id, value in zip(ids, values, strict=True):
                status, details = self.decisions.status_of(train_id), self.decisions.details_of(train_id)
                yield Judged(row, train_id, status, self.is_kept(train_id), value, details)
                row += 1

    def iter_lines(self) -> Iterator[tuple[str, int, bool]]:
        """Id of every example, its line in its source file, and whether it is kept."""
        for table in iter_groups(self.path, list(OWN_COLUMNS)):
            for train_id, line in zip(*(table[name].to_pylist() for name in OWN_COLUMNS), strict=True):
                yield train_id, line, self.is_kept(train_id)

    def iter_kept(self) -> Iterator[pa.Table]:
        """The kept examples with the data's own names, nested values as JSON text; added columns come last."""
        wanted = ["train_id", *self.source_names]
        for table in iter_groups(self.path, wanted):
            ids = table["train_id"].to_pylist()
            mask = [self.is_kept(train_id) for train_id in ids]
            kept = table.filter(pa.array(mask, pa.bool_())).select(list(self.source_names))
            kept = kept.rename_columns(list(self.source_names.values()))
            if self.settings.with_decisions:
                kept_ids = [train_id for train_id, keeps in zip(ids, mask, strict=True) if keeps]
                kept = self._with_decisions(kept, kept_ids)
            if kept.num_rows:
                yield kept

    def _with_decisions(self, table: pa.Table, ids: Sequence[str]) -> pa.Table:
        statuses = pa.array([self.decisions.status_of(train_id) for train_id in ids], pa.string())
        details = [self.decisions.details_of(train_id) or {} for train_id in ids]
        reasons = pa.array([found.get("reason") for found in details], pa.string())
        table = table.append_column(self.settings.status_column, statuses)
        return table.append_column(self.settings.reason_column, reasons)

    def import_settings(self) -> ImportConfig:
        """Settings that read the same examples from the files they came from."""
        return settings_of(self.source_columns, keep_empty=self._has_empty_completion())

    def _has_empty_completion(self) -> bool:
        columns = self.table.columns
        sides = [name for name in (columns.completion, columns.chosen, columns.rejected) if name is not None]
        if not sides:
            return False
        texts = (
            text for table in iter_groups(self.path, sides) for name in sides for text in table[name].to_pylist()
        )
        return any(text is not None and not text.strip() for text in texts)


def _countable(column: pa.ChunkedArray) -> list[Any]:
    """The values as JSON spells them; NaN, which equals nothing, as one text."""
    return ["NaN" if value != value else value for value in plain_values(column)]


def iter_groups(path: Path, names: list[str]) -> Iterator[pa.Table]:
    """The given columns of an ``examples.parquet``, one row group at a time.

    Raises:
        DamagedArtefact: The file cannot be read.
    """
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            for group in range(file.metadata.num_row_groups):
                yield file.read_row_group(group, columns=names).replace_schema_metadata(None)
    except (pa.ArrowException, OSError) as error:
        refuse_if_of_the_machine(error, path)
        raise DamagedArtefact(
            f"{str(path)!r} is not a readable Parquet file ({error}): import the data again."
        ) from error


def source_names(path: Path, table: ExampleTable, id_name: str | None = None) -> dict[str, str]:
    """Name in ``examples.parquet`` → name in the data, in the data's order.

    An import renames columns that have its own names, or none (``columns``). A column that is called so may as
    well have been called so before; which it was, only the fingerprint tells, for it is a hash over the data's
    own names. So in this rare case all rows are read and hashed. The name of the id column is not hashed; unless
    it is given, that column counts as renamed.

    Raises:
        DataError: No naming gives the fingerprint: the file is from another version of LoRIF Studio.
    """
    stored = table.data_columns
    if table.layout.source_names is not None:
        return {name: table.layout.source_names.get(name, name) for name in stored}
    namings = list(_possible_namings(stored, own_columns_of(table.columns)))
    id_column = table.columns.id
    if id_column is not None and id_name is not None:
        namings = [naming for naming in namings if naming[id_column] == id_name] or namings
    if len(namings) == 1:
        return namings[0]
    digests = [xxhash.xxh3_128(table.columns.renamed(naming).opening) for naming in namings]
    for group in iter_groups(path, ["train_id", *stored]):
        for row in group.to_pylist():
            opening = json.dumps(row.pop("train_id")).encode()
            for name in table.json_columns:
                row[name] = None if row[name] is None else json.loads(row[name])
            for digest, naming in zip(digests, namings, strict=True):
                values = {naming[name]: value for name, value in row.items()}
                digest.update(opening + content_of_row(values, table.columns.renamed(naming)))
    for digest, naming in zip(digests, namings, strict=True):
        if digest.hexdigest() == table.fingerprint:
            return naming
    raise DataError(
        f"the names that the columns of {str(path)!r} had in the data cannot be told from its fingerprint: it was "
        "imported by another version of LoRIF Studio. Import the data again."
    )


def _possible_namings(stored: Sequence[str], taken: Sequence[str]) -> Iterator[dict[str, str]]:
    """Every way in which an import may have come to these names, where the file has taken some itself."""
    options = []
    for own in (*taken, ""):
        forms = [name for name in stored if _may_come_from(name, own)]
        options.append([*({form: own} for form in forms), {}])
    for chosen in product(*options):
        renamed = {name: own for option in chosen for name, own in option.items()}
        yield {name: renamed.get(name, name) for name in stored}


def _may_come_from(stored: str, own: str) -> bool:
    bare = stored
    while bare.startswith(RENAME_PREFIX):
        bare = bare.removeprefix(RENAME_PREFIX)
    return bare == (own or "unnamed") and (stored != bare or not own)
