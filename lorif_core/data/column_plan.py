"""How every column of a data set is stored in ``examples.parquet``, and under which name.

Columns keep their names, behind some of the file's own: ``train_id``, ``source_line``, and ``lorif_text``, what
people read, where no column of the data holds just that. A column of the data with such a name becomes
``original_train_id`` and so on, and one without a name becomes ``unnamed``.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lorif_core.config import ImportConfig
from lorif_core.data.columns import Columns, ColumnScan, Storage, looks_of
from lorif_core.data.find_columns import find_columns
from lorif_core.errors import DataError, UnclearColumns

OWN_COLUMNS = ("train_id", "source_line")
SHOWN_COLUMN = "lorif_text"


@dataclass(frozen=True)
class ColumnPlan:
    """How every column of the data is stored. Keys are the names in the data."""

    source: Columns
    """The columns that make the example and the ids, by their names in the data."""

    storages: dict[str, Storage]
    """Name → how the values are stored."""

    stored_names: dict[str, str]
    """Name → name in ``examples.parquet``."""

    @property
    def own_columns(self) -> tuple[str, ...]:
        """Columns of the file that the data did not have; they come first."""
        return own_columns_of(self.source)

    @property
    def stored(self) -> Columns:
        """The same by their names in ``examples.parquet``."""
        return self.source.renamed(self.stored_names)

    @property
    def metadata_columns(self) -> list[str]:
        """Names in ``examples.parquet`` of the columns that are neither read nor ids."""
        taken = {*self.source.read_columns, self.source.id}
        return [stored for name, stored in self.stored_names.items() if name not in taken]

    @property
    def json_columns(self) -> list[str]:
        """Names in ``examples.parquet`` of the columns that hold JSON text."""
        return [self.stored_names[name] for name, storage in self.storages.items() if storage == "json"]


def own_columns_of(columns: Columns) -> tuple[str, ...]:
    """Columns that a file with such examples has of its own."""
    return OWN_COLUMNS if columns.is_verbatim else (*OWN_COLUMNS, SHOWN_COLUMN)


def plan_columns(scanned: Mapping[str, ColumnScan], settings: ImportConfig) -> ColumnPlan:
    """Names and types of all columns, from those that a scan of all rows found.

    Raises:
        DataError: The columns to read cannot be told.
    """
    # Without one readable row there are no names: any plan will do to list what is wrong with the rows.
    try:
        source = find_columns(looks_of(scanned), settings) if scanned else Columns("text", text="text")
    except DataError as error:
        raise UnclearColumns(str(error), list(scanned)) from error
    storages: dict[str, Storage] = {name: scan.storage or "string" for name, scan in scanned.items()}
    if source.is_verbatim:  # whatever rejected rows hold, this is what accepted ones hold
        storages |= dict.fromkeys(source.read_columns, "string")
    return ColumnPlan(source, storages, _stored_names(storages, own_columns_of(source)))


def _stored_names(names: Iterable[str], own: tuple[str, ...]) -> dict[str, str]:
    stored_names: dict[str, str] = {}
    taken = {*names, *own, ""}
    for name in names:
        stored = name
        if name in own or not name:
            stored = name or "unnamed"
            while stored in taken:
                stored = f"original_{stored}"
            taken.add(stored)
        stored_names[name] = stored
    return stored_names
