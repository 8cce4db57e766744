"""What of a data set somebody wants to see, as typed, and what it takes to show it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import polars as pl

from lorif_core.catalog import DatasetRecord
from lorif_core.corpus.browse import last_offset
from lorif_core.corpus.conditions import queries_of
from lorif_core.corpus.connection import ExamplesFile
from lorif_core.corpus.filters import Filter, SearchMode, SideTables, SortKey, Status, TextSearch
from lorif_core.corpus.fulltext import FullText, ensure_fulltext
from lorif_core.corpus.where import parse_where
from lorif_core.errors import DataError, QueryError
from lorif_core.workspace.folder.kept_scores import scores_frame
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles


@dataclass(frozen=True)
class View:
    """What of a data set one wants to see, as typed; empty parts restrict nothing."""

    where: str | None = None
    """A condition, such as ``source = forum and status = kept``; see docs/rules.md."""

    search: str | None = None
    """Text to look for."""

    mode: SearchMode = "words"
    """words: all of the words, "phrases" and prefixes*; contains: the characters; regex: an RE2 expression."""

    statuses: tuple[str, ...] = ()
    """Decisions to show: kept, flagged, excluded."""

    sort: tuple[str, ...] = ()
    """Columns, or ``score:QUERY``, each with a leading ``-`` for largest first."""


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
    table = files.examples(dataset_id)
    return ExamplesFile(
        path=files.examples_file(dataset_id),
        text_columns=table.shown_columns,
        metadata_columns=tuple(table.metadata_columns),
        json_columns=tuple(table.json_columns),
        fingerprint=table.fingerprint,
    )


def build_search(files: WorkspaceFiles, dataset_id: str) -> FullText:
    """The full-text index of a data set, built if it is missing or of another version."""
    return ensure_fulltext(examples_file(files, dataset_id), files.dataset_folder(dataset_id) / "search.sqlite")


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
    chosen = Filter(search=search_of(view), statuses=frozenset[Status](map(_status, view.statuses)), where=where)
    named = [] if where is None else queries_of(where)
    named += [key.by for key in map(sort_key, view.sort) if key.of == "score"]
    if where is None and not chosen.statuses:
        return chosen, SideTables(None, _scores_of(files, record, named))
    return chosen, side_tables(files, record, named)


def _status(typed: str) -> Status:
    known: tuple[Status, ...] = get_args(Status)
    for status in known:
        if status == typed:
            return status
    raise QueryError(f"a status is one of {', '.join(known)}, got {typed!r}.")


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


def sort_key(text: str) -> SortKey:
    """The key that a typed one means: a column, ``score:QUERY``, row or relevance, with ``-`` for largest first."""
    name = text.removeprefix("-")
    is_descending = text.startswith("-")
    if name.startswith("score:"):
        return SortKey(name.removeprefix("score:"), "score", is_descending)
    if name in ("row", "relevance"):
        return SortKey("", name, is_descending)
    return SortKey(name, "column", is_descending)


def with_status(frame: pl.DataFrame, decisions: pl.DataFrame) -> pl.DataFrame:
    """The page with the columns ``status``, ``reason`` and ``has_conflict`` behind the id.

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
    columns = [
        pl.Series("status", [row["status"] or "kept" for row in found], dtype=pl.String),
        pl.Series("reason", [row["reason"] for row in found], dtype=pl.String),
        pl.Series("has_conflict", [bool(row["has_conflict"]) for row in found], dtype=pl.Boolean),
    ]
    taken = [
        column.alias(f"decision_{column.name}") if column.name in frame.columns else column for column in columns
    ]
    return frame.select("train_id", *taken, pl.exclude("train_id"))
