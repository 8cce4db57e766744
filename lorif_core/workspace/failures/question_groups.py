"""Groups of a whole data set on one kept question: what all texts of a source add up to, and how many are on top.

Every text's score is kept with a question, so a group is the sum over all of its texts and not over the listed ones.
What is added up is the influence in nats, as it is kept beside normalised scores; what counts as the top is the
question's own ranking. Whether a group has more texts among the top k than chance puts there:
``metrics/enrichment.py``.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go
import polars as pl
from numpy.typing import NDArray

from lorif_core.catalog import QueryRecord
from lorif_core.errors import ArtefactError
from lorif_core.metrics.enrichment import enrichment
from lorif_core.metrics.group_sums import sums_by_group, top_rows
from lorif_core.views.group_figures import group_bars, groups_html
from lorif_core.workspace.asking.conventions import unit_of
from lorif_core.workspace.datasets.datasets import Datasets
from lorif_core.workspace.failures.text_groups import TextGroups, group_texts
from lorif_core.workspace.folder.displayed import Displayed
from lorif_core.workspace.folder.kept_scores import influence_column, read_influences, read_scores
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles

TOP_SHARE = 0.01
LEAST_TOP, MOST_TOP = 10, 1000
"""The top is a hundredth of all texts, within these bounds, unless a person says another number."""

WORDS = {1: "more often than chance", -1: "less often than chance", 0: "as chance would"}

Part = Literal["all", "top", "sample"]
"""Which texts of a group: all, those among the top k, or some drawn at random."""

SAMPLE_TEXTS = 20


@dataclass(frozen=True)
class CorpusGroups(Displayed):
    """All groups of a data set on a kept question."""

    query_id: str
    dataset_id: str
    by: str
    k: int
    """How many texts are the top."""

    num_texts: int
    unit: str
    """Of the sums."""

    frame: pl.DataFrame
    """group, num_texts, sum, share (of the positive sums), mean, mean_low, mean_high (95 %), num_top, expected,
    chance_low, chance_high, fold, p_more, p_fewer, stands_out, condition; the largest sum first."""

    notes: list[str]
    groups: TextGroups = field(repr=False, compare=False)
    top: NDArray[np.int64] = field(repr=False, compare=False)
    """Rows of the top texts, the strongest first."""

    ids: pl.Series = field(repr=False, compare=False)
    """Of all texts."""

    def ids_of(self, names: list[str], part: Part = "all", *, count: int = SAMPLE_TEXTS) -> list[str]:
        """Ids of texts of some groups.

        Args:
            names: Of the groups.
            part: Which of their texts; a sample is the same whenever it is drawn.
            count: Of a sample.

        Raises:
            DataError: There is no such group.
        """
        return part_of_groups(self.groups, names, part, self.ids, self.top, count)

    def figure(self, most: int = 20) -> go.Figure:
        """Sums as bars with intervals, as in the studio."""
        return group_bars(self.frame, self.by, self.unit, most)

    def to_polars(self) -> pl.DataFrame:
        """The groups."""
        return self.frame

    def to_html(self, *, redact: bool = False) -> str:
        """The groups as HTML without a script."""
        return groups_html(self.by, self.frame, [self.sentence, *self.notes])

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-serialisable values."""
        names = ("query_id", "dataset_id", "by", "k", "num_texts", "unit", "notes")
        return {name: getattr(self, name) for name in names} | {"groups": self.frame.to_dicts()}

    @property
    def sentence(self) -> str:
        """What the figures are."""
        return (
            f"Sums over all {self.num_texts:,} texts. Top: the {self.k:,} strongest. The range by chance is the "
            f"central 95 % of a hypergeometric draw; what stands out does so with all {len(self.frame):,} groups "
            "taken into account."
        )


def part_of_groups(
    groups: TextGroups, names: list[str], part: Part, ids: pl.Series, top: NDArray[np.int64], count: int
) -> list[str]:
    """Ids of texts of some groups; see ``CorpusGroups.ids_of``."""
    rows = groups.rows_of(names)
    if part == "top":
        rows = top[np.isin(top, rows)]
    elif part == "sample" and len(rows) > count:
        rows = np.sort(np.random.default_rng(0).choice(rows, count, replace=False))
    return ids.gather(rows.tolist()).to_list() if len(rows) else []


def usual_top(num_texts: int) -> int:
    """How many texts are the top unless a person says it."""
    return min(max(round(TOP_SHARE * num_texts), LEAST_TOP), MOST_TOP, num_texts)


def groups_of_question(
    data: Datasets, query_id: str, by: str = "source", *, k: int | None = None, given: pl.DataFrame | None = None
) -> CorpusGroups:
    """All groups of the data set that a kept question ranked.

    Args:
        data: The data sets.
        query_id: Of the question.
        by: A metadata column, or duplicates, see ``group_texts``.
        k: How many texts are the top; None: ``usual_top``.
        given: Instead of a column: a frame with train_id and group.

    Raises:
        ArtefactError: The scores of all texts are not kept: it was a fast search, or they are gone.
        ConfigError: k is below 1.
        DataError: There is no such column, or too many groups.
    """
    files = data.files
    query = files.catalog.query(query_id)
    dataset = next(one for one in files.catalog.datasets() if one.dataset_id == query.dataset_id)
    scores = read_scores(files, query)
    sums_of, unit, notes = _to_add(files, query, scores)
    k = usual_top(len(scores)) if k is None else min(k, len(scores))
    groups = group_texts(data, dataset, by, given)
    top = top_rows(scores, k)
    return CorpusGroups(
        query_id=query_id,
        dataset_id=dataset.dataset_id,
        by=by if given is None else "group",
        k=k,
        num_texts=len(scores),
        unit=unit,
        frame=_frame(groups, sums_of, top, k),
        notes=notes,
        groups=groups,
        top=top,
        ids=files.examples(dataset.dataset_id).column("train_id"),
    )


def _to_add(
    files: WorkspaceFiles, query: QueryRecord, scores: NDArray[np.float32]
) -> tuple[NDArray[np.float32], str, list[str]]:
    """What is added up, its unit, and what has to be said of it."""
    try:
        if influence_column(files, query) == "score":
            added = scores
        else:
            added = read_influences(files, query)
    except ArtefactError:
        note = "the influences of this question were not kept, so normalised scores are added up: ask it again"
        return scores, "normalised score", [note]
    unit = unit_of(query)
    notes = [] if unit == "nats" else [f"these scores are {unit}: their sums have no meaning of their own"]
    if query.normalisation != "none":
        added_up = "influences in nats" if unit == "nats" else f"{unit} without a normalisation"
        notes.append(f"sums are {added_up}; the top is by the question's normalised scores")
    return added, unit, notes


def _frame(groups: TextGroups, added: NDArray[np.float32], top: NDArray[np.int64], k: int) -> pl.DataFrame:
    num_groups = len(groups.names)
    sums = sums_by_group(added, groups.code_of, num_groups)
    num_top = np.bincount(groups.code_of[top], minlength=num_groups)
    found = enrichment(sums.sizes, num_top, len(added), k)
    positive = sums.positive.sum()
    frame = pl.DataFrame(
        {
            "group": groups.names,
            "num_texts": sums.sizes,
            "sum": sums.total,
            "share": sums.positive / (positive if positive > 0 else 1.0),
            "mean": sums.mean,
            "mean_low": sums.mean_low,
            "mean_high": sums.mean_high,
            "num_top": num_top,
            "expected": found.expected,
            "chance_low": found.low,
            "chance_high": found.high,
            "fold": found.fold,
            "p_more": found.p_more,
            "p_fewer": found.p_fewer,
            "stands_out": [WORDS[int(one)] for one in found.stands_out],
            "condition": pl.Series(groups.conditions, dtype=pl.String),
        }
    )
    return frame.with_columns(pl.col("mean_low", "mean_high").fill_nan(None)).sort(
        ["sum", "group"], descending=[True, False]
    )
