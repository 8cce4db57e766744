"""The widget of a comparison: shared texts, texts of one question only, changes of rank."""

from typing import Any

import polars as pl
import traitlets

from lorif_core.errors import ConfigError
from lorif_core.views.panels import compare_panel, reader_panel
from lorif_core.views.tokens import Payload
from lorif_core.widgets.panel import Panel, source, told
from lorif_core.workspace.asking.compare import Comparison
from lorif_core.workspace.workspace import Workspace


class CompareWidget(Panel):
    """Two kept questions side by side."""

    _esm = source("compare")

    ids = traitlets.List(traitlets.Unicode(), read_only=True).tag(sync=True)
    """Train ids of all texts in either list, the best rank first."""

    def __init__(self, comparison: Comparison, *, redact: bool = False) -> None:
        if not isinstance(comparison.home, Workspace):
            raise ConfigError("the comparison does not know its workspace: get it from `ws.compare`.")
        self.comparison, workspace = comparison, comparison.home
        dataset = workspace.files.catalog.query(comparison.b.query_id).dataset_id
        super().__init__(workspace, dataset, query=comparison.b.query_id, redact=redact)
        self._put("data", self._drawn(comparison.to_dict()))
        self.set_trait("ids", comparison.rank_changes["train_id"].to_list())

    def to_polars(self) -> pl.DataFrame:
        """The rank changes."""
        return self.comparison.to_polars()

    def to_html(self) -> str:
        """The rank changes as HTML without a script."""
        return self.comparison.to_html(redact=self.is_redacted)

    def read_example(self, train_id: str) -> Payload:
        """What the reader shows of a text."""
        (shown,) = self.workspace.data.texts([train_id], self.dataset_id)
        events = told(self.workspace.decisions.events_of(train_id, dataset=self.dataset_id))
        return reader_panel(train_id, shown.text, shown.metadata, events)

    def _drawn(self, found: dict[str, Any]) -> Payload:
        return compare_panel(found, reasons=[reason.name for reason in self.workspace.journal.reasons()])
