"""Which group every text of a data set belongs to: by a metadata column, by equal or similar texts, or as given."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lorif_core.catalog import DatasetRecord
from lorif_core.errors import ConfigError, DataError
from lorif_core.views.choices import of_values
from lorif_core.workspace.datasets.datasets import Datasets
from lorif_core.workspace.datasets.view import clusters_of
from lorif_core.workspace.folder.kept_map import Clusters, mapped_index

NO_GROUP = "(none)"
NEAR_DUPLICATES = "near-duplicates"
"""No column: texts that say nearly the same, each with a group of its own; all others together."""

EQUAL_TEXTS = "equal texts"
"""No column: texts that say the same."""

CLUSTERS = "clusters"
"""No column: texts that the model takes for alike, of the newest index of the data set that has a map."""

ALONE = "(no duplicate)"
SIMILARITY = 0.8
MOST_GROUPS = 20_000
"""Groups that a data set may be split into; more are ids, not groups."""


@dataclass(frozen=True)
class TextGroups:
    """Every text's group."""

    by: str
    names: list[str]
    """Of the G groups."""

    code_of: NDArray[np.int32]
    """(N,): place of the text's group among the names."""

    conditions: list[str | None]
    """How to find a group's texts, as in Corpus; None: by their ids only."""

    def rows_of(self, names: list[str]) -> NDArray[np.int64]:
        """Rows of all texts of some groups, in store order.

        Raises:
            DataError: There is no such group.
        """
        unknown = [name for name in names if name not in self.names]
        if unknown:
            raise DataError(f"{self.by!r} has no group {unknown[0]!r}: choose one that is listed.")
        codes = [self.names.index(name) for name in names]
        return np.flatnonzero(np.isin(self.code_of, codes))


def ways_to_group(data: Datasets, dataset_id: str) -> list[str]:
    """By what texts of a data set can be grouped: its columns, `source` first, clusters if there are, duplicates."""
    columns = data.files.examples(dataset_id).metadata_columns
    clusters = [] if mapped_index(data.files, dataset_id) is None else [CLUSTERS]
    return [*sorted(columns, key=lambda name: name != "source"), *clusters, NEAR_DUPLICATES, EQUAL_TEXTS]


def check_grouping(data: Datasets, record: DatasetRecord, by: str) -> None:
    """Refuse a way that texts cannot be grouped by.

    Raises:
        ArtefactError: Clusters are wanted, and no index of the data set has a map.
        DataError: There is no such column.
    """
    ways = ways_to_group(data, record.dataset_id)
    if by == CLUSTERS and by not in ways:
        clusters_of(data.files, record, None)  # says how they are computed
    if by not in ways:
        raise DataError(
            f"texts are grouped by a metadata column or by duplicates, got {by!r}: choose one of {', '.join(ways)}."
        )


def group_texts(data: Datasets, record: DatasetRecord, by: str, given: pl.DataFrame | None = None) -> TextGroups:
    """Every text's group.

    Args:
        data: The data sets.
        record: Which one.
        by: A metadata column, ``CLUSTERS``, ``NEAR_DUPLICATES`` or ``EQUAL_TEXTS``.
        given: Instead: a frame with the columns train_id and group, such as clusters; texts that are not in it belong
            to no group.

    Raises:
        ArtefactError: Clusters are wanted, and no index of the data set has a map.
        DataError: There is no such column, too many groups, or no id of ``given`` is one of the data set.
    """
    table = data.files.examples(record.dataset_id)
    if given is not None:
        return _joined(by, table.column("train_id"), given)
    if by in (NEAR_DUPLICATES, EQUAL_TEXTS):
        found = data.duplicates(threshold=SIMILARITY if by == NEAR_DUPLICATES else None, dataset=record.dataset_id)
        named = found.join(found.group_by("group").agg(pl.col("train_id").first().alias("first")), on="group")
        given = named.select("train_id", pl.format("like {}", "first").alias("group"))
        return _joined(by, table.column("train_id"), given, rest=ALONE)
    if by == CLUSTERS and by not in table.metadata_columns:
        return _clusters(clusters_of(data.files, record, None))
    check_grouping(data, record, by)
    return _of_column(by, table.column(by), has_values=by not in table.json_columns)


def _clusters(found: Clusters) -> TextGroups:
    codes = found.of_rows.cast(pl.Int32) - 1
    names = [one.label for one in found.clusters]
    if codes.null_count():
        names, codes = [*names, NO_GROUP], codes.fill_null(len(names))
    return TextGroups(CLUSTERS, names, codes.to_numpy().astype(np.int32), [None] * len(names))


def _joined(by: str, ids: pl.Series, given: pl.DataFrame, rest: str = NO_GROUP) -> TextGroups:
    if not {"train_id", "group"} <= set(given.columns):
        raise DataError(f"groups need the columns train_id and group, got {', '.join(given.columns)}.")
    wanted = given.select(pl.col("train_id", "group").cast(pl.String)).unique("train_id", keep="first")
    if len(wanted) and not wanted["train_id"].is_in(ids.implode()).any():
        raise DataError(
            f"groups are of texts of the data set, and none of their ids is one of them, such as "
            f"{wanted['train_id'][0]!r}: check that they come from this data set."
        )
    frame = pl.DataFrame({"train_id": ids}).join(wanted, on="train_id", how="left", maintain_order="left")
    return _of_column(by, frame["group"], rest, has_values=False)


def _of_column(by: str, values: pl.Series, rest: str = NO_GROUP, *, has_values: bool) -> TextGroups:
    known = values.drop_nulls().unique().sort()
    has_none = values.null_count() > 0
    if len(known) + has_none > MOST_GROUPS:
        raise DataError(
            f"{by!r} has {len(known):,} different values, and groups are at most {MOST_GROUPS:,}: choose another "
            "column."
        )
    table = pl.DataFrame({"value": known, "code": np.arange(len(known), dtype=np.int32)})
    codes = pl.DataFrame({"value": values}).join(table, on="value", how="left", maintain_order="left")["code"]
    names, raw = [str(one) for one in known.cast(pl.String)], known.to_list()
    conditions: list[str | None] = [_condition(by, one) if has_values else None for one in raw]
    if has_none:
        while rest in names:  # a value that is spelt like it is another group
            rest = f"({rest})"
        names, conditions = [*names, rest], [*conditions, of_values(by, [None]) if has_values else None]
    return TextGroups(by, names, codes.fill_null(len(known)).to_numpy().astype(np.int32), conditions)


def _condition(by: str, value: object) -> str | None:
    try:
        return of_values(by, [value])  # type: ignore[list-item] - a value that no condition can say is refused
    except (ConfigError, TypeError, ValueError):
        return None
