"""Pages, counts, samples and facets of an imported data set, filtered and sorted.

A page is found in two steps: first the row numbers, from the columns that the filter and the order
need, then all columns of those few rows. Long texts of rows that are not shown are never read.
"""

import random
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import polars as pl

from lorif_core.corpus.conditions import Condition
from lorif_core.corpus.connection import ROW, Call, ExamplesFile, OpenExamples
from lorif_core.corpus.facets import Facet, Profile, read_facet, read_profile
from lorif_core.corpus.filters import EVERYTHING, NOTHING_BESIDE, Filter, SideTables, SortKey, TextSearch
from lorif_core.corpus.fulltext import FullText
from lorif_core.corpus.highlighting import Snippet, snippets_of
from lorif_core.corpus.selection import Selection, check_choices, order_sql, pinned_where, select
from lorif_core.corpus.text_patterns import contains_patterns, contains_sql, matches_sql, typed_pattern
from lorif_core.corpus.value_types import ValueType
from lorif_core.corpus.zones import zone_named
from lorif_core.errors import QueryError

SEARCH_TIME_LIMIT_S = 3.0
"""How long typed searches and conditions may take."""

MAX_REMEMBERED = 4
"""Searches whose rows are kept, so that turning pages and reading facets does not search again."""

NO_INDEX = "searching for words needs the full-text index of the data: build it, or search with `contains`."


@dataclass(frozen=True)
class Page:
    """Consecutive examples of an ordered list."""

    frame: pl.DataFrame
    """One row for each example of the page, in order; JSON as text."""

    rows: list[int]
    """Their row numbers in the file."""

    total: int
    """Examples in the whole list."""

    offset: int
    """Place of the first one in the list, from 0."""

    decision_names: Mapping[str, str] = field(default_factory=dict)
    """``status``, ``reason``, ``has_conflict`` → their columns in the frame, where decisions were added to it."""

    def decided(self, name: str) -> pl.Series:
        """What was decided about the examples: ``status``, ``reason`` or ``has_conflict``."""
        return self.frame[self.decision_names[name]]


def last_offset(total: int, limit: int) -> int:
    """Offset of the last page of a list that is cut into pages of ``limit`` from its start."""
    return max(0, (total - 1) // limit * limit)


class Corpus:
    """A data set to browse and search. Threads may share it; every call has its own cursor.

    Every list has a total order, because ties are broken by row number: pages neither jump nor overlap.
    """

    def __init__(
        self,
        file: ExamplesFile,
        fulltext: FullText | None = None,
        time_limit_s: float | None = SEARCH_TIME_LIMIT_S,
    ) -> None:
        """Open a data set.

        Args:
            file: Its examples.
            fulltext: Their index; without it, words cannot be searched.
            time_limit_s: Longest time for a call with a typed search or condition; None: no limit.

        Raises:
            ArtefactError: The file is missing, damaged, or has other columns than expected.
        """
        self._examples = OpenExamples(file)
        self._fulltext = fulltext
        self._time_limit_s = time_limit_s
        self._lock = threading.Lock()
        self._remembered: OrderedDict[tuple[TextSearch, bool], pl.DataFrame] = OrderedDict()
        self._profiles: dict[str, Profile] = {}

    def __enter__(self) -> "Corpus":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back memory and temporary files."""
        self._examples.close()

    @property
    def num_examples(self) -> int:
        """Number of examples, N."""
        return self._examples.num_rows

    @property
    def column_names(self) -> list[str]:
        """All columns, in the order of the file."""
        return list(self._examples.columns)

    @property
    def types(self) -> dict[str, ValueType]:
        """What the values of every column are."""
        return {name: column.value for name, column in self._examples.columns.items()}

    def pinned(self, condition: Condition, zone: str | None = None) -> Condition:
        """The condition with the zones of its times written out, so that it chooses the same for everyone.

        Args:
            condition: From ``parse_where``.
            zone: IANA name of the zone that its times without one are meant in; None: that of this process.

        Raises:
            QueryError: A name is unknown or means two things.
        """
        return pinned_where(self._examples, condition, zone)

    def page(
        self,
        chosen: Filter = EVERYTHING,
        *,
        sort: Sequence[SortKey] = (),
        offset: int = 0,
        limit: int = 50,
        columns: Sequence[str] | None = None,
        beside: SideTables = NOTHING_BESIDE,
    ) -> Page:
        """Examples ``offset`` to ``offset + limit`` of the list.

        Args:
            chosen: Which examples are in the list.
            sort: Its order; ties and an empty order go by row number.
            offset: Place of the first example; negative ones count from the end of the list.
            limit: Examples of a page, at least 1.
            columns: What to read; None: all columns.
            beside: Decisions and scores that the filter or order refers to.

        Raises:
            QueryError: The filter or the order cannot be understood, or takes too long.
            ArtefactError: The file or the index is gone or damaged.
        """
        if limit < 1:
            raise QueryError(f"a page has at least 1 text, got a limit of {limit}: raise it.")
        with self._call(chosen) as call:
            selection = self._select(call, chosen, beside, sort)
            total = self._total(call, selection)
            start = max(0, total + offset) if offset < 0 else offset
            rows = self._ordered_rows(call, selection, sort, total, start, limit)
            return Page(self._read(call, rows, columns), rows, total, start)

    def last_page(
        self,
        chosen: Filter = EVERYTHING,
        *,
        sort: Sequence[SortKey] = (),
        limit: int = 50,
        columns: Sequence[str] | None = None,
        beside: SideTables = NOTHING_BESIDE,
    ) -> Page:
        """The page that a reader who turns pages of ``limit`` reaches last; like ``page`` otherwise."""
        offset = last_offset(self.count(chosen, beside=beside), limit)
        return self.page(chosen, sort=sort, offset=offset, limit=limit, columns=columns, beside=beside)

    def count(self, chosen: Filter = EVERYTHING, *, beside: SideTables = NOTHING_BESIDE) -> int:
        """Number of examples that pass the filter.

        Raises:
            QueryError: The filter cannot be understood, or takes too long.
        """
        with self._call(chosen) as call:
            return self._total(call, self._select(call, chosen, beside))

    def rows(
        self, chosen: Filter = EVERYTHING, limit: int | None = None, *, beside: SideTables = NOTHING_BESIDE
    ) -> list[int]:
        """Row numbers of the examples that pass the filter, ascending; at most ``limit``.

        Raises:
            QueryError: The filter cannot be understood, or takes too long.
        """
        with self._call(chosen) as call:
            return self._all_rows(call, chosen, beside, limit).to_list()

    def ids(
        self, chosen: Filter = EVERYTHING, limit: int | None = None, *, beside: SideTables = NOTHING_BESIDE
    ) -> list[str]:
        """Ids of the examples that pass the filter, in the order of the file; at most ``limit``.

        Raises:
            QueryError: The filter cannot be understood, or takes too long.
        """
        with self._call(chosen) as call:
            selection = self._select(call, chosen, beside)
            sql = selection.sql(self._examples.columns["train_id"].sql, f"ORDER BY {ROW} {_limit_sql(limit)}")
            return call.query(sql, selection.params).to_series().to_list()

    def sample(
        self,
        chosen: Filter = EVERYTHING,
        n: int = 20,
        seed: int = 0,
        *,
        columns: Sequence[str] | None = None,
        beside: SideTables = NOTHING_BESIDE,
    ) -> pl.DataFrame:
        """``n`` random examples that pass the filter (or all, if they are fewer), in the order of the file.

        Every subset is equally likely; the same seed gives the same examples on every machine.

        Raises:
            QueryError: The filter cannot be understood, or takes too long.
        """
        with self._call(chosen) as call:
            rows = self._all_rows(call, chosen, beside, None)
            places = sorted(random.Random(seed).sample(range(len(rows)), min(n, len(rows))))
            return self._read(call, rows[places].to_list() if places else [], columns)

    def facets(self, chosen: Filter = EVERYTHING, *, beside: SideTables = NOTHING_BESIDE) -> list[Facet]:
        """A facet for each metadata column, in their order.

        Raises:
            QueryError: The filter cannot be understood, or takes too long.
        """
        check_choices(self._examples, chosen)
        with self._call(chosen) as call:
            others = replace(chosen, choices={})
            is_all = others == replace(EVERYTHING, zone=chosen.zone)
            found = None if is_all and beside.among is None else self._row_frame(call, others, beside)
            return [self._facet(call, name, chosen, found) for name in self._examples.file.metadata_columns]

    def snippets(self, search: TextSearch | str, rows: Sequence[int]) -> list[Snippet]:
        """For each of some rows, the passage of the text with most of what a search finds; made for one page.

        A plain text is a search for words.
        """
        names = self._examples.file.text_columns
        expressions = ", ".join(self._examples.readable(name) for name in names)
        with self._examples.call(None) as call:
            found = call.query(f"SELECT {ROW}, {expressions} FROM examples e WHERE {_among(rows)}").rows()
        texts = {row: ["" if text is None else text for text in values] for row, *values in found}
        return snippets_of(search, [texts[row] for row in rows])

    @contextmanager
    def _call(self, chosen: Filter) -> Iterator[Call]:
        is_typed = chosen.search is not None or chosen.where is not None
        with self._examples.call(self._time_limit_s if is_typed else None) as call:
            yield call

    def _select(self, call: Call, chosen: Filter, beside: SideTables, sort: Sequence[SortKey] = ()) -> Selection:
        ranks = any(key.of == "relevance" for key in sort)
        found = None if chosen.search is None and not ranks else self._found(call, chosen.search, ranks=ranks)
        if beside.among is not None:
            found = beside.among if found is None else found.join(beside.among, on="row", how="semi")
        return select(call, self._examples, chosen, beside, found, sort)

    def _total(self, call: Call, selection: Selection) -> int:
        if selection.known_total is not None:
            return selection.known_total
        return call.query(selection.sql("count(*)"), selection.params).item()

    def _ordered_rows(
        self, call: Call, selection: Selection, sort: Sequence[SortKey], total: int, start: int, limit: int
    ) -> list[int]:
        stop = min(total, start + limit)
        if start >= stop:
            return []
        # The first few of an order cost one pass, the last few a sort of everything: ask for the nearer end.
        is_reversed = total - stop < start
        skipped = total - stop if is_reversed else start
        tail = f"{order_sql(selection, sort, is_reversed=is_reversed)} LIMIT {stop - start} OFFSET {skipped}"
        rows = call.query(selection.sql(ROW, tail), selection.params).to_series().to_list()
        return rows[::-1] if is_reversed else rows

    def _all_rows(self, call: Call, chosen: Filter, beside: SideTables, limit: int | None) -> pl.Series:
        selection = self._select(call, chosen, beside)
        return call.query(selection.sql(ROW, f"ORDER BY {ROW} {_limit_sql(limit)}"), selection.params).to_series()

    def _row_frame(self, call: Call, chosen: Filter, beside: SideTables) -> pl.DataFrame:
        selection = self._select(call, chosen, beside)
        return call.query(selection.sql(f"{ROW} AS row"), selection.params)

    def _facet(self, call: Call, name: str, chosen: Filter, found: pl.DataFrame | None) -> Facet:
        column = self._examples.columns[name]
        if name not in self._profiles:
            self._profiles[name] = read_profile(call, column)
        others = {other: choice for other, choice in chosen.choices.items() if other != name}
        selection = select(call, self._examples, Filter(choices=others, zone=chosen.zone), NOTHING_BESIDE, found)
        return read_facet(call, name, column, self._profiles[name], selection, zone_named(chosen.zone))

    def _read(self, call: Call, rows: Sequence[int], columns: Sequence[str] | None) -> pl.DataFrame:
        names = self.column_names if columns is None else list(dict.fromkeys(columns))
        for name in names:
            self._examples.check_name(name)
        expressions = ", ".join([ROW, *(self._examples.columns[name].shown for name in names)])
        frame = call.query(f"SELECT {expressions} FROM examples e WHERE {_among(rows)}")
        place_of = {row: place for place, row in enumerate(rows)}
        order = frame.to_series(0).replace_strict(place_of, return_dtype=pl.Int64).arg_sort()
        return frame[order].drop(frame.columns[0]).rename(dict(zip(frame.columns[1:], names, strict=True)))

    def _found(self, call: Call, search: TextSearch | None, *, ranks: bool) -> pl.DataFrame:
        """Rows that a search finds, with their relevance where the order needs it."""
        if search is None or (ranks and search.mode != "words"):
            raise QueryError("relevance is that of a search for words: search for some, or sort by another key.")
        key = (search, ranks)
        with self._lock:
            if key in self._remembered:
                self._remembered.move_to_end(key)
                return self._remembered[key]
        if search.mode == "words":
            found = self._index().matches(search.text, self._time_limit_s, ranks=ranks)
        else:
            found = self._rows_with_text(call, search)
        with self._lock:
            self._remembered[key] = found
            while len(self._remembered) > MAX_REMEMBERED:
                self._remembered.popitem(last=False)
        return found

    def _rows_with_text(self, call: Call, search: TextSearch) -> pl.DataFrame:
        if search.mode == "regex" and (reason := call.reason_against(search.text)):
            raise QueryError(
                f"{search.text!r} is not a regular expression ({reason}): correct it, or search with `contains` for "
                "these characters."
            )
        is_regex = search.mode == "regex"
        test = matches_sql if is_regex else contains_sql
        params = [typed_pattern(search.text)] if is_regex else list(contains_patterns(search.text))
        names = self._examples.file.text_columns
        condition = " OR ".join(test(self._examples.readable(name)) for name in names)
        return call.query(f"SELECT {ROW} AS row FROM examples e WHERE {condition}", params * len(names))

    def _index(self) -> FullText:
        if self._fulltext is None:
            raise QueryError(NO_INDEX)
        return self._fulltext


def _among(rows: Sequence[int]) -> str:
    return f"{ROW} IN ({', '.join(map(str, rows))})" if rows else "false"


def _limit_sql(limit: int | None) -> str:
    return "" if limit is None else f"LIMIT {int(limit)}"
