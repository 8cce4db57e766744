"""The widget of a data set: search, condition, facets, pages; reads only what is on screen."""

from collections.abc import Mapping
from typing import Any, cast

import polars as pl
import traitlets

from lorif_core.corpus.browse import Page
from lorif_core.corpus.facets import Facet, HistogramFacet
from lorif_core.corpus.filters import SearchMode, Status
from lorif_core.corpus.highlighting import Snippet, spans_of
from lorif_core.errors import ConfigError, DataError
from lorif_core.views.choices import (
    CLUSTERS,
    column_of,
    narrowed,
    of_bins,
    of_values,
    values_of,
    with_choice,
    without_column,
)
from lorif_core.views.panels import cluster_panel, facet_panel, found_card, page_card, reader_panel
from lorif_core.views.text import visible
from lorif_core.views.tokens import Payload
from lorif_core.widgets.panel import Panel, source, told
from lorif_core.workspace.datasets.datasets import ShownCorpus, text_of_row
from lorif_core.workspace.datasets.view import View, search_of
from lorif_core.workspace.folder.kept_map import Cluster, mapped_index
from lorif_core.workspace.workspace import Workspace

START: dict[str, Any] = {
    "search": "", "mode": "words", "where": "", "status": "", "sort": "", "picks": [], "clusters": []
}  # fmt: skip
LIMIT = 10


class CorpusWidget(Panel):
    """A data set, page by page."""

    _esm = source("corpus")

    view = traitlets.Dict(START).tag(sync=True)
    """What is shown: search, mode, where, status, sort, picks, clusters. Setting it shows the first page of it."""

    ids = traitlets.List(traitlets.Unicode(), read_only=True).tag(sync=True)
    """Train ids of the page."""

    def __init__(self, corpus: ShownCorpus, *, redact: bool = False) -> None:
        if not isinstance(corpus.home, Workspace):
            raise ConfigError("the corpus does not know its workspace: get it from `ws.corpus`.")
        self.corpus, self._offset = corpus, 0
        self.page: Page | None = None
        """The examples on screen."""

        self._facets: list[Facet] = []
        self._clusters: list[tuple[Cluster, int]] = []
        super().__init__(corpus.home, corpus.dataset_id, query=None, redact=redact)
        self._commands |= {"view": self._see, "page": self.turn_to, "pick": self._pick}
        self.observe(lambda _: self.turn_to(0, anew=True), "view")
        self.turn_to(0, anew=True)

    def to_polars(self) -> pl.DataFrame:
        """The page as a frame."""
        self.wait()
        return pl.DataFrame() if self.page is None else self.page.frame

    def matching(self) -> list[str]:
        """Train ids of everything that the view shows, on all pages."""
        return self.workspace.data.matching_ids(self._chosen(), self.dataset_id)

    def to_html(self) -> str:
        """The first page of the data set as HTML without a script."""
        return self.corpus.to_html(redact=self.is_redacted)

    def turn_to(self, offset: int, *, anew: bool = False) -> None:
        """Show the page that begins at a place of the list; ``anew``: and count everything again."""
        view, beside = self._chosen(), self._chosen(picks=False)

        def read(_: object) -> tuple[Page, list[Facet], list[tuple[Cluster, int]], list[Snippet]]:
            page = self.workspace.data.browse(view, offset=offset, limit=LIMIT, dataset=self.dataset_id)
            picks = self.view["picks"]
            facets = self.workspace.data.facets_beside(beside, picks, self.dataset_id) if anew else self._facets
            clusters = self._count_clusters(view) if anew else self._clusters
            return page, facets, clusters, self.workspace.data.passages(view, page, dataset=self.dataset_id)

        self._work.start("texts", read, lambda found: self._draw(*found))

    def read_example(self, train_id: str) -> Payload:
        """What the reader shows of a text."""
        (shown,) = self.workspace.data.texts([train_id], self.dataset_id)
        events = told(self.workspace.decisions.events_of(train_id, dataset=self.dataset_id))
        search = search_of(self._chosen())
        found = spans_of(search, [shown.text])[0] if search else []
        return reader_panel(train_id, shown.text, shown.metadata, events, found=found)

    def _count_clusters(self, view: View) -> list[tuple[Cluster, int]]:
        """The clusters, with the texts that a view shows in each; none where no index has a map."""
        if mapped_index(self.workspace.files, self.dataset_id) is None:
            return []
        return self.workspace.data.clusters(view, dataset=self.dataset_id)

    def _chosen(self, *, picks: bool = True) -> View:
        view = START | self.view
        return View(
            where=narrowed(view["where"], view["picks"] if picks else []),
            search=view["search"] or None,
            mode=cast(SearchMode, view["mode"]),
            statuses=(cast(Status, view["status"]),) if view["status"] else (),
            sort=(view["sort"],) if view["sort"] else (),
            clusters=tuple(view["clusters"]),
        )

    def _see(self, view: Mapping[str, Any]) -> None:
        wanted = {name: view.get(name, empty) for name, empty in START.items()}
        narrowed(wanted["where"], wanted["picks"])  # refuses what is no condition before it is shown
        self.selected = []
        if wanted == self.view:
            self.turn_to(0, anew=True)
        else:
            self.view = wanted

    def _pick(self, clicked: Mapping[str, Any]) -> None:
        """Choose a value or a bar of a facet, or take the choice back."""
        name: str = clicked["column"]
        if name == CLUSTERS:
            self._pick_cluster(clicked["label"])
            return
        facet = next((one for one in self._facets if one.column == name), None)
        place = _place_of(facet, clicked)
        if facet is None or place is None:
            raise DataError(f"{name} no longer offers {clicked['label']!r}: choose again.")
        picks: list[str] = list(self.view["picks"])
        own = next((one for one in picks if column_of(one) == name), None)
        if isinstance(facet, HistogramFacet):
            choice = of_bins(name, [facet.bins[place]])
            picks = without_column(picks, name) if choice == own else with_choice(picks, choice)
        else:
            values = [one.value for one in facet.values]
            places = set(values_of(own, values) if own else []) ^ {place}
            picks = without_column(picks, name)
            if places:
                picks = with_choice(picks, of_values(name, [values[one] for one in sorted(places)]))
        self._see({**self.view, "picks": picks})

    def _pick_cluster(self, label: str) -> None:
        number = next((one.number for one, _ in self._clusters if visible(one.label) == label), None)
        if number is None:
            raise DataError(f"the map no longer has cluster {label!r}: choose again.")
        chosen: list[int] = (START | self.view)["clusters"]
        self._see({**self.view, "clusters": sorted({*chosen} ^ {number})})

    def _draw(
        self, page: Page, facets: list[Facet], clusters: list[tuple[Cluster, int]], passages: list[Snippet]
    ) -> None:
        self.page, self._facets, self._clusters, self._offset = page, facets, clusters, page.offset
        rows = page.frame.to_dicts()
        cards = [
            page_card(row["train_id"], text_of_row(row, self.corpus.text_columns), row.get("source")) for row in rows
        ]
        if passages:
            cards = [
                found_card(row["train_id"], passage, row.get("source"))
                for row, passage in zip(rows, passages, strict=True)
            ]
        picks: list[str] = self.view["picks"]
        own = {column_of(one): one for one in picks}
        panels = [facet_panel(one, own.get(one.column)) for one in facets]
        if clusters:
            chosen: list[int] = (START | self.view)["clusters"]
            panels = [cluster_panel([(one.label, count, one.number in chosen) for one, count in clusters]), *panels]
        self._put(
            "data",
            {
                "mode": "corpus",
                "cards": cards,
                "total": page.total,
                "offset": page.offset,
                "limit": LIMIT,
                "view": START | self.view,
                "columns": [one.column for one in facets],
                "facets": panels,
                "reasons": [reason.name for reason in self.workspace.journal.reasons()],
            },
        )
        self.set_trait("ids", page.frame["train_id"].to_list())


def _place_of(facet: Facet | None, clicked: Mapping[str, Any]) -> int | None:
    """Where the clicked choice stands now: the page may show facets of a moment ago."""
    labels = [] if facet is None else [choice["label"] for choice in facet_panel(facet, None)["choices"]]
    place, label = clicked["place"], clicked["label"]
    if labels[place : place + 1] == [label]:
        return place
    return labels.index(label) if label in labels else None
