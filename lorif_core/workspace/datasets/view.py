"""What of a data set somebody wants to see, as typed, and what it takes to show it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from lorif_core.catalog import DatasetRecord
from lorif_core.corpus.browse import last_offset
from lorif_core.corpus.conditions import DATA, queries_of
from lorif_core.corpus.connection import ExamplesFile
from lorif_core.corpus.filters import STATUSES, Filter, SearchMode, SideTables, SortKey, Status, TextSearch
from lorif_core.corpus.fulltext import FullText, ensure_fulltext
from lorif_core.corpus.where import parse_where
from lorif_core.data.examples import ExampleTable
from lorif_core.errors import ArtefactError, CatalogError, DataError, QueryError
from lorif_core.workspace.folder.kept_map import Clusters, mapped_index, read_clusters
from lorif_core.workspace.folder.kept_scores import scores_frame
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles

SCORE = "score:"
ORDER = "order:"
"""Before ``row``, ``relevance`` or ``score:QUERY`` in a sort key: certainly none of the columns."""


@dataclass(frozen=True)
class View:
    """What of a data set one wants to see, as typed; empty parts restrict nothing."""

    where: str | None = None
    """A condition, such as ``source = forum and status = kept``; see docs/reference/rules.md."""

    search: str | None = None
    """Text to look for."""

    mode: SearchMode = "words"
    """words: all of the words, "phrases" and prefixes*; contains: the characters; regex: an RE2 expression."""

    statuses: tuple[str, ...] = ()
    """Decisions to show: kept, flagged, excluded."""

    sort: tuple[str, ...] = ()
    """Columns, fields such as ``meta.year``, ``score:QUERY``, ``relevance`` or ``row``, each with a leading ``-`` for
    largest first. ``data.NAME`` is certainly a column, ``order:row`` certainly the order of the import."""

    zone: str | None = None
    """IANA name of the person's time zone: what times without a zone are meant in, where a column holds instants, and
    what those are shown in; None: that of this process."""

    clusters: tuple[int, ...] = ()
    """Numbers of the clusters to show, see ``Indexes.map``."""

    index: str | None = None
    """Whose clusters are meant; None: of the newest index of the data set that has a map."""


def offset_of_page(page: int, limit: int, count: Callable[[], int]) -> int:
    """Place of a page's first example.

    Args:
        page: From 1, or from -1 backwards.
        limit: Examples of a page.
        count: Tells the length of the list; asked for only when counting backwards.

    Raises:
        QueryError: There is no such page.
    """
    if page == 0 or limit < 1:
        raise QueryError(
            f"pages count from 1, or from -1 backwards, and hold at least 1 text, got {page} of {limit}."
        )
    if page > 0:
        return (page - 1) * limit
    return max(0, last_offset(count(), limit) + (page + 1) * limit)


def examples_file(files: WorkspaceFiles, dataset_id: str) -> ExamplesFile:
    """What browsing needs to know about a data set."""
    return examples_file_at(files.examples_file(dataset_id))


def examples_file_at(path: Path) -> ExamplesFile:
    """What browsing needs to know about a file of examples."""
    table = ExampleTable(path)
    return ExamplesFile(
        path=path,
        text_columns=table.shown_columns,
        metadata_columns=tuple(table.metadata_columns),
        json_columns=tuple(table.json_columns),
        fingerprint=table.fingerprint,
        time_columns=table.layout.time_columns,
        mixed_columns=table.layout.mixed_columns,
        field_types=table.layout.field_types,
    )


def build_search(files: WorkspaceFiles, dataset_id: str) -> FullText:
    """The full-text index of a data set, built if it is missing or of another version."""
    return build_search_beside(files.examples_file(dataset_id))


def build_search_beside(examples: Path) -> FullText:
    """The full-text index of a file of examples, as ``build_search``."""
    return ensure_fulltext(examples_file_at(examples), examples.with_name("search.sqlite"))


def search_of(view: View) -> TextSearch | None:
    """What a view searches for.

    Raises:
        QueryError: It cannot be searched for.
    """
    return TextSearch(view.mode, view.search) if view.search else None


def read_view(files: WorkspaceFiles, record: DatasetRecord, view: View) -> tuple[Filter, SideTables]:
    """What a view shows, with the decisions and scores that it speaks of; no decisions where it speaks of none.

    Raises:
        QueryError: It cannot be understood.
        DataError: It names a question that was asked about other data.
    """
    where = parse_where(view.where) if view.where is not None and view.where.strip() else None
    statuses = frozenset[Status](map(_status, view.statuses))
    chosen = Filter(search=search_of(view), statuses=statuses, where=where, zone=view.zone)
    named = [] if where is None else queries_of(where)
    columns = files.examples(record.dataset_id).column_names
    named += [key.by for key in sort_keys(view.sort, columns) if key.of == "score"]
    if where is None and not chosen.statuses:
        beside = SideTables(None, _scores_of(files, record, named))
    else:
        beside = side_tables(files, record, named)
    return chosen, replace(beside, among=_rows_among(files, record, view))


def clusters_of(files: WorkspaceFiles, record: DatasetRecord, index_id: str | None) -> Clusters:
    """The clusters of a data set's texts.

    Args:
        files: The workspace.
        record: The data set.
        index_id: Id or name, whose map; None: that of the newest index that has one.

    Raises:
        CatalogError: The index is one of other data.
        ArtefactError: There is no map yet.
    """
    found = index_id or mapped_index(files, record.dataset_id)
    if found is None:
        raise ArtefactError(
            f"no index of data set {record.dataset_id} has a map, so it has no clusters yet: compute one with "
            f"`lorif map {files.root}`."
        )
    index = files.choose_index(found)
    if index.dataset_id != record.dataset_id:
        raise CatalogError(f"index {found!r} is of other data than {record.dataset_id}: name one of this data.")
    return read_clusters(files, index.index_id)


def _rows_among(files: WorkspaceFiles, record: DatasetRecord, view: View) -> pl.DataFrame | None:
    return clusters_of(files, record, view.index).rows_in(view.clusters) if view.clusters else None


def _status(typed: str) -> Status:
    for status in STATUSES:
        if status == typed:
            return status
    raise QueryError(f"a status is one of {', '.join(STATUSES)}, got {typed!r}.")


def side_tables(files: WorkspaceFiles, record: DatasetRecord, query_ids: Sequence[str]) -> SideTables:
    """Decisions on a data set, and its scores on some questions.

    Raises:
        CatalogError: A question is unknown.
        DataError: A question was asked about other data.
    """
    return SideTables(files.journal.states(record.corpus_id), _scores_of(files, record, query_ids))


def _scores_of(
    files: WorkspaceFiles, record: DatasetRecord, query_ids: Sequence[str]
) -> dict[str, pl.DataFrame | Path]:
    return {query_id: _scores(files, record, query_id) for query_id in dict.fromkeys(query_ids)}


def _scores(files: WorkspaceFiles, record: DatasetRecord, query_id: str) -> pl.DataFrame:
    query = files.catalog.query(query_id)
    if query.dataset_id != record.dataset_id:
        raise DataError(
            f"query {query_id} was asked about data set {query.dataset_id}, and this is about {record.dataset_id}: "
            "ask it again on an index of this version."
        )
    return scores_frame(files, query)


def sort_keys(typed: Sequence[str], columns: Sequence[str]) -> list[SortKey]:
    """The keys that typed ones mean, see ``View.sort``.

    Raises:
        QueryError: A key could be a column and another order.
    """
    return [_sort_key(text.removeprefix("-"), text.startswith("-"), columns) for text in typed]


def _sort_key(name: str, is_descending: bool, columns: Sequence[str]) -> SortKey:
    order = name.removeprefix(ORDER)
    is_other = order in ("row", "relevance") or order.startswith(SCORE)
    if name.startswith(DATA) and name.removeprefix(DATA) in columns:
        return SortKey(name.removeprefix(DATA), "column", is_descending)
    if not is_other or (order != name and name in columns):
        return SortKey(name, "column", is_descending)
    if order == name and name in columns:
        raise QueryError(
            f"`{name}` is a column of the data and another order: sort by `{DATA}{name}` for the column, or by "
            f"`{ORDER}{name}`."
        )
    if order.startswith(SCORE):
        return SortKey(order.removeprefix(SCORE), "score", is_descending)
    return SortKey("", "row" if order == "row" else "relevance", is_descending)


def decision_names(taken: Sequence[str]) -> dict[str, str]:
    """What the parts of a decision are called beside columns of the data: ``decision_status`` beside ``status``."""
    return {name: _free_name(name, taken) for name in ("status", "reason", "has_conflict")}


def _free_name(name: str, taken: Sequence[str]) -> str:
    tried = name
    while tried in taken:
        tried = f"decision_{tried}"
    return tried


def with_status(frame: pl.DataFrame, decisions: pl.DataFrame) -> pl.DataFrame:
    """The page with the status, reason and conflict of its examples behind the id, see ``decision_names``.

    Args:
        frame: The page.
        decisions: States of its examples, and perhaps of others.
    """
    known: list[dict[str, Any]] = (
        frame.select("train_id")
        .join(decisions.select("train_id", "status", "reason", "has_conflict"), on="train_id", how="left")
        .to_dicts()
    )
    by_id = {row["train_id"]: row for row in known}
    found: Sequence[dict[str, Any]] = [by_id[train_id] for train_id in frame["train_id"]]
    names = decision_names(frame.columns)
    columns = [
        pl.Series(names["status"], [row["status"] or "kept" for row in found], dtype=pl.String),
        pl.Series(names["reason"], [row["reason"] for row in found], dtype=pl.String),
        pl.Series(names["has_conflict"], [bool(row["has_conflict"]) for row in found], dtype=pl.Boolean),
    ]
    return frame.select("train_id", *columns, pl.exclude("train_id"))
