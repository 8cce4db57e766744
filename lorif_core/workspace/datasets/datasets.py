"""The data sets of a workspace: imported, browsed, searched."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from io import BufferedIOBase
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl

from lorif_core.catalog import DatasetRecord
from lorif_core.config import ImportConfig, NextVersion
from lorif_core.corpus.browse import Corpus, Page
from lorif_core.corpus.facets import Facet
from lorif_core.corpus.highlighting import Snippet
from lorif_core.corpus.value_types import ValueType
from lorif_core.data.examples import Example
from lorif_core.views.choices import column_of, narrowed
from lorif_core.views.list_html import examples_html
from lorif_core.workspace.datasets.find_verbatim import VerbatimTexts, find_verbatim
from lorif_core.workspace.datasets.view import (
    View,
    build_search,
    clusters_of,
    decision_names,
    examples_file,
    read_view,
    search_of,
    sort_keys,
    with_status,
)
from lorif_core.workspace.folder.displayed import Displayed
from lorif_core.workspace.folder.kept_map import Cluster
from lorif_core.workspace.folder.progress import ProgressSink, no_progress
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles

if TYPE_CHECKING:  # readers of files, which a decision does not need
    from lorif_core.data.previewing import ImportPreview
    from lorif_core.workspace.datasets.import_data import ImportResult
    from lorif_core.workspace.datasets.next_version import Foreseen

BATCH_EXAMPLES = 4096


class ShownText(NamedTuple):
    """One example to be read."""

    train_id: str
    text: str
    metadata: dict[str, object]


class ShownCorpus(Corpus, Displayed):
    """A data set of a workspace; in a notebook, a widget to browse it."""

    def __init__(self, data: "Datasets", dataset_id: str, home: object) -> None:
        file = examples_file(data.files, dataset_id)
        super().__init__(file, build_search(data.files, dataset_id))
        self.data, self.home, self.dataset_id, self.text_columns = data, home, dataset_id, file.text_columns

    def to_html(self, *, redact: bool = False) -> str:
        """The first page as HTML without a script."""
        page = self.data.browse(dataset=self.dataset_id)
        examples = [
            (row["train_id"], status, text_of_row(row, self.text_columns))
            for row, status in zip(page.frame.iter_rows(named=True), page.decided("status"), strict=True)
        ]
        return examples_html(f"The first {len(examples)} of {page.total:,} texts", examples, redact=redact)


def text_of_row(row: Mapping[str, Any], text_columns: Sequence[str]) -> str:
    """The text of one row of a page."""
    return "".join(str(row[name]) for name in text_columns if row.get(name) is not None)


class Datasets:
    """Every data set of a workspace. Keeps the open files of each."""

    def __init__(self, files: WorkspaceFiles, home: object) -> None:
        self.files = files
        self.home = home
        """The workspace, which widgets decide in."""

        self._corpora: dict[str, ShownCorpus] = {}
        self._types: dict[str, dict[str, ValueType]] = {}

    def records(self) -> list[DatasetRecord]:
        """Every imported data set, oldest first."""
        return self.files.catalog.datasets()

    def import_files(
        self,
        *paths: str | Path,
        settings: ImportConfig | None = None,
        on_progress: ProgressSink = no_progress,
        said: NextVersion = NextVersion(),  # noqa: B008 - frozen
    ) -> "ImportResult":
        """Read data files into the workspace; importing the same examples again adds nothing.

        Args:
            paths: Files or folders.
            settings: How columns are read.
            on_progress: Receives the stage, rows read, all.
            said: What you say about data that come under the name of a data set that is there.

        Raises:
            DataError: A file or its columns cannot be used, most texts are other ones than those of the data set of
                that name, or decided texts are missing.
        """
        from lorif_core.workspace.datasets.import_data import import_data

        return import_data(self.files, [Path(path) for path in paths], settings or ImportConfig(), on_progress, said)

    def compare_import(self, paths: Sequence[str | Path], settings: ImportConfig | None = None) -> "Foreseen | None":
        """What an import would do to decisions; None without a data set of that name. Nothing of it stays.

        Raises:
            DataError: A file or its columns cannot be used.
        """
        from lorif_core.workspace.datasets.import_data import compare_import

        return compare_import(self.files, [Path(path) for path in paths], settings or ImportConfig())

    def preview_import(self, paths: Sequence[str | Path], settings: ImportConfig | None = None) -> "ImportPreview":
        """Columns, first rows and rejects of data files; reads some thousand rows, writes nothing.

        Raises:
            DataError: A file cannot be read.
        """
        from lorif_core.data.previewing import preview_files

        return preview_files([Path(path) for path in paths], settings or ImportConfig())

    def stamp_of(self, path: str | Path) -> list[int]:
        """Size and time of a file, so that a preview of it is made anew when it changes; empty if it is none."""
        place = Path(path)
        return [place.stat().st_size, place.stat().st_mtime_ns] if place.is_file() else []

    def rejects(self, *, dataset: str | None = None, limit: int = 1000) -> list[dict[str, Any]]:
        """The first rows that the latest import of a data set could not use: file, line, reason, detail, row."""
        from lorif_core.workspace.datasets.import_data import read_rejects

        return read_rejects(self.files, self.files.choose_dataset(dataset).name, limit)

    def keep_upload(self, name: str, content: BufferedIOBase) -> Path:
        """Keep a file that was uploaded, under its name; the path that `import_files` takes."""
        from lorif_core.workspace.datasets.import_data import keep_upload

        return keep_upload(self.files, name, content)

    def corpus(self, dataset: str | None = None) -> ShownCorpus:
        """A data set ready to be browsed; its text search is built now if it is missing.

        Args:
            dataset: Name or id; may be left out when there is only one.
        """
        record = self.files.choose_dataset(dataset)
        if record.dataset_id not in self._corpora:
            self._corpora[record.dataset_id] = ShownCorpus(self, record.dataset_id, self.home)
        return self._corpora[record.dataset_id]

    def types(self, dataset: str | None = None) -> dict[str, ValueType]:
        """What the values of every column are; needs no text search, unlike ``corpus``."""
        record = self.files.choose_dataset(dataset)
        if record.dataset_id not in self._types:
            with Corpus(examples_file(self.files, record.dataset_id)) as corpus:
                self._types[record.dataset_id] = corpus.types
        return self._types[record.dataset_id]

    def browse(
        self, view: View | None = None, *, offset: int = 0, limit: int = 20, dataset: str | None = None
    ) -> Page:
        """A page of the examples that a view shows, each with its status.

        Args:
            view: What to see; None shows all in the order of the import.
            offset: Place of the page's first example; negative ones count from the end.
            limit: Examples of a page.
            dataset: Name or id; may be left out when there is only one.

        Raises:
            QueryError: The view cannot be understood, or takes too long.
        """
        view = view or View()
        record = self.files.choose_dataset(dataset)
        chosen, beside = read_view(self.files, record, view)
        corpus = self.corpus(record.dataset_id)
        sort = sort_keys(view.sort, corpus.column_names)
        page = corpus.page(chosen, sort=sort, offset=offset, limit=limit, beside=beside)
        decisions = beside.decisions  # what the filter saw, if it saw any: read again, it might be another moment
        if decisions is None:
            decisions = self.files.journal.states(record.corpus_id, page.frame["train_id"].to_list())
        names = decision_names(page.frame.columns)
        return replace(page, frame=with_status(page.frame, decisions), decision_names=names)

    def passages(self, view: View, page: Page, *, dataset: str | None = None) -> list[Snippet]:
        """For each example of a page, the passage in which the view's search found most, with the hits marked.

        Without a search there are none.

        Raises:
            QueryError: The search cannot be understood, or takes too long.
        """
        search = search_of(view)
        return [] if search is None else self.corpus(dataset).snippets(search, page.rows)

    def count(self, view: View | None = None, *, dataset: str | None = None) -> int:
        """Number of examples that a view shows.

        Raises:
            QueryError: The view cannot be understood, or takes too long.
        """
        record = self.files.choose_dataset(dataset)
        chosen, beside = read_view(self.files, record, view or View())
        return self.corpus(record.dataset_id).count(chosen, beside=beside)

    def facets(self, view: View | None = None, *, dataset: str | None = None) -> list[Facet]:
        """Value counts or a histogram for every metadata column, of the examples that a view shows.

        Raises:
            QueryError: The view cannot be understood, or takes too long.
        """
        record = self.files.choose_dataset(dataset)
        chosen, beside = read_view(self.files, record, view or View())
        return self.corpus(record.dataset_id).facets(chosen, beside=beside)

    def clusters(
        self, view: View | None = None, *, index_id: str | None = None, dataset: str | None = None
    ) -> list[tuple[Cluster, int]]:
        """The clusters of a data set's texts, each with how many of the texts that a view shows are in it.

        The view's own choice of clusters is left out, so that the others keep their counts.

        Args:
            view: What to count; None: everything.
            index_id: Whose map; None: that of the newest index that has one.
            dataset: Name or id; may be left out when there is only one.

        Raises:
            ArtefactError: There is no map yet.
            QueryError: The view cannot be understood, or takes too long.
        """
        record = self.files.choose_dataset(dataset)
        found = clusters_of(self.files, record, index_id)
        seen = replace(view or View(), clusters=(), sort=())
        chosen, beside = read_view(self.files, record, seen)
        is_all = seen == View(zone=seen.zone, index=seen.index)
        counts = found.counted(None if is_all else self.corpus(record.dataset_id).rows(chosen, beside=beside))
        return [(one, counts.get(one.number, 0)) for one in found.clusters]

    def duplicates(self, *, threshold: float | None = 0.8, dataset: str | None = None) -> pl.DataFrame:
        """Groups of examples with equal or similar texts: group, train_id, kind, similarity.

        Args:
            threshold: Lowest similarity of a pair (Jaccard of word 3-shingles); None: equal texts only.
            dataset: Name or id; may be left out when there is only one.
        """
        from lorif_core.corpus.duplicates import exact_groups, near_groups

        record = self.files.choose_dataset(dataset)
        table = self.files.examples(record.dataset_id)

        def read_batches() -> Iterator[tuple[list[str], list[str]]]:
            for start in range(0, table.num_examples, BATCH_EXAMPLES):
                part = list(table.iter_examples(start, start + BATCH_EXAMPLES))
                yield [example.train_id for example in part], [example.plain_text for example in part]

        return exact_groups(read_batches()) if threshold is None else near_groups(read_batches, threshold=threshold)

    def verbatim(self, said: str, k: int = 20, *, dataset: str | None = None) -> VerbatimTexts:
        """The texts with the longest spans of what was said, word for word, whether or not they are influential.

        All texts are looked at. Spans of a few words, or of the commonest words only, do not count; see
        ``lorif_core.corpus.verbatim``.

        Args:
            said: An answer, or any text.
            k: Length of the list.
            dataset: Name or id; may be left out when there is only one.

        Raises:
            LorifError: Nothing was said, or the data set has no texts to look in.
        """
        return find_verbatim(self.files, said, k, dataset)

    def matching_ids(self, view: View, dataset: str | None = None) -> list[str]:
        """Ids of all examples that a view shows, in the order of the import.

        Raises:
            QueryError: The view cannot be understood, or takes too long.
        """
        record = self.files.choose_dataset(dataset)
        chosen, beside = read_view(self.files, record, view)
        return self.corpus(record.dataset_id).ids(chosen, beside=beside)

    def texts(self, train_ids: Sequence[str], dataset: str | None = None) -> list[ShownText]:
        """The examples with these ids, in the order given.

        Raises:
            DataError: An id is unknown.
        """
        table = self.files.examples(self.files.choose_dataset(dataset).dataset_id)
        rows = table.rows_of(train_ids)
        examples: list[Example] = table.examples_at(rows)
        values = table.values_at(rows)
        return [
            ShownText(example.train_id, example.plain_text, {name: row[name] for name in table.metadata_columns})
            for example, row in zip(examples, values, strict=True)
        ]

    def facets_beside(self, view: View, choices: Sequence[str], dataset: str | None = None) -> list[Facet]:
        """A facet for every metadata column, each under the choices of all other columns.

        Args:
            view: What is shown, without the choices.
            choices: One condition per column, see ``lorif_core.views.choices``.
            dataset: Name or id; may be left out when there is only one.

        Raises:
            QueryError: The view cannot be understood, or takes too long.
        """

        def facets(kept: Sequence[str]) -> list[Facet]:
            return self.facets(replace(view, where=narrowed(view.where, kept)), dataset=dataset)

        own = {column_of(choice): choice for choice in choices}
        apart = {name: facets([one for one in choices if one != choice]) for name, choice in own.items()}
        return [
            next(one for one in apart[facet.column] if one.column == facet.column) if facet.column in apart else facet
            for facet in facets(choices)
        ]
