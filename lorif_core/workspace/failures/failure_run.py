"""A file of failures that was asked: which sources and texts taught them, read back without a model.

All figures are of influences in nats, summed over the questions: a long text or a large source counts for all that it
did. A text is among the top of a question where it is one of its k strongest that support the completion.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import plotly.graph_objects as go
import polars as pl
from numpy.typing import NDArray

from lorif_core.errors import DataError
from lorif_core.metrics.group_sums import sum_intervals, top_rows, weights_by_group
from lorif_core.views.failure_figures import change_of_failures, failures_html, heat_map, sum_bars
from lorif_core.views.text import counted
from lorif_core.workspace.datasets.datasets import Datasets
from lorif_core.workspace.failures.failure_folder import TOP, AskedFailure, FailureFolder
from lorif_core.workspace.failures.question_groups import SAMPLE_TEXTS, Part, part_of_groups
from lorif_core.workspace.failures.text_groups import TextGroups, group_texts
from lorif_core.workspace.folder.displayed import Displayed

MOST_CELLS = 10_000_000
"""Questions times groups that are held at once, 16 bytes each."""


@dataclass(frozen=True)
class FailureGroups:
    """The groups of a data set, and what they taught a set of failures."""

    by: str
    k: int
    frame: pl.DataFrame
    """group, num_texts, value, value_low, value_high (sum in nats; 95 %, over questions: null where there is only
    one), share, share_low, share_high (of the positive influence), num_top (places among the questions' top k), fold
    (against what chance puts there), num_questions (in how many a text of it is among the top), condition; the
    largest sum first."""

    values: NDArray[np.float64] = field(repr=False, compare=False)
    """(Q, G): sum of each group's influences on each question, in nats and in the frame's order of groups."""

    groups: TextGroups = field(repr=False, compare=False)

    def share_of(self, names: list[str]) -> float:
        """Share of the positive influence behind all failures that some groups hold."""
        return float(self.frame.filter(pl.col("group").is_in(names))["share"].sum())


@dataclass(frozen=True)
class WithoutTexts:
    """What removing some texts is predicted to do to the failures."""

    train_ids: list[str]
    share: float
    """Of the positive influence behind all failures that goes with them."""

    frame: pl.DataFrame
    """question_id, prompt, completion, change (nats of the completion's log-probability), share (of the question's
    positive influence); the largest loss first."""

    @property
    def num_weaker(self) -> int:
        """Failures whose completion gets less likely."""
        return int((self.frame["change"] < 0).sum())

    @property
    def sentence(self) -> str:
        """What happens, and how far it can be believed."""
        return (
            f"{self.num_weaker:,} of {counted(len(self.frame), 'failure')} would get less likely; {self.share:.1%} "
            "of the influence behind them goes with these texts. Sums of influences keep the order and exaggerate "
            "sizes: verify by training again."
        )

    def figure(self) -> go.Figure:
        """Share of every failure's influence that goes, as bars."""
        return change_of_failures(self.frame)


@dataclass(frozen=True)
class FailureRun(Displayed):
    """What a file of failures found."""

    run_id: str
    said: dict[str, Any]
    """File, index, data set, how it was read."""

    questions: list[AskedFailure]
    folder: FailureFolder = field(repr=False, compare=False)
    data: Datasets = field(repr=False, compare=False)

    @property
    def dataset_id(self) -> str:
        """Data set whose texts were ranked."""
        return str(self.said["dataset_id"])

    @property
    def index_id(self) -> str:
        """Index that was asked."""
        return str(self.said["index_id"])

    @cached_property
    def ids(self) -> pl.Series:
        """Train ids in store order."""
        return self.data.files.examples(self.dataset_id).column("train_id")

    @property
    def sentence(self) -> str:
        """What was asked of which index, and what was left out."""
        return f"{self.counts}; index {self.index_id}"

    @property
    def counts(self) -> str:
        """How many failures of which file were asked, and how many could not be."""
        read = self.said["read"]
        left_out = sum(read["skipped"].values()) + len(read["left_out"])
        passed = f", {read['num_passed']:,} passed" if read["num_passed"] else ""
        skipped = f", {left_out:,} could not be asked" if left_out else ""
        return f"{counted(len(self.questions), 'failure')} of {self.said['file']}{passed}{skipped}"

    def texts(self, k: int = TOP, *, most: int = 50) -> pl.DataFrame:
        """The texts among the top of any failure, those with the largest sums first.

        Columns: train_id, num_top (in how many questions it is among the top k), num_bottom (in how many it is among
        the k that oppose most), value (sum, nats), share (of the positive influence), helps_and_harms.

        Args:
            k: How many texts are a question's top.
            most: Rows.
        """
        table = self.folder.texts(k).with_columns(self.ids.alias("train_id"))
        total = float(table["positive"].sum())
        return (
            table.filter(pl.col("num_top") > 0)
            .sort(["value", "num_top", "train_id"], descending=[True, True, False])
            .head(most)
            .select(*_shown(total))
        )

    def mixed(self, k: int = TOP, *, most: int = 50) -> pl.DataFrame:
        """Texts that help some and harm others: among the top of one failure and among the opposing top of another.

        As ``texts``; those that are on both sides most often first. Removing one makes some failures likelier.
        """
        table = self.folder.texts(k).with_columns(self.ids.alias("train_id"))
        total = float(table["positive"].sum())
        both = pl.min_horizontal("num_top", "num_bottom")
        return (
            table.filter(both > 0)
            .sort(
                [both, pl.min_horizontal("positive", -pl.col("negative")), "train_id"], descending=[True, True, False]
            )
            .head(most)
            .select(*_shown(total))
        )

    def groups(self, by: str = "source", k: int = TOP, *, given: pl.DataFrame | None = None) -> FailureGroups:
        """What every group of texts taught the failures.

        Reads the scores of one question at a time.

        Args:
            by: A metadata column, clusters, near-duplicates or equal texts.
            k: How many texts are a question's top.
            given: Instead of a column: a frame with train_id and group, such as clusters.

        Raises:
            DataError: There is no such column, or too many groups for so many questions.
        """
        record = next(one for one in self.data.records() if one.dataset_id == self.dataset_id)
        groups = group_texts(self.data, record, by, given)
        num_groups, num_questions = len(groups.names), len(self.questions)
        if num_groups * num_questions > MOST_CELLS:
            raise DataError(
                f"{num_groups:,} groups times {num_questions:,} questions are more than {MOST_CELLS:,}: choose a "
                "column with fewer values."
            )
        values, positive = (np.zeros((num_questions, num_groups)) for _ in range(2))
        num_top, num_asked = (np.zeros(num_groups) for _ in range(2))
        for number, scores in enumerate(self.folder.iter_scores()):
            wide = scores.astype(np.float64)
            values[number] = weights_by_group(wide, groups.code_of, num_groups)
            positive[number] = weights_by_group(wide.clip(min=0), groups.code_of, num_groups)
            rows = top_rows(scores, k)
            among = np.bincount(groups.code_of[rows[scores[rows] > 0]], minlength=num_groups)
            num_top += among
            num_asked += among > 0
        return _groups(groups, k, (values, positive), num_top, num_asked)

    def ids_of(
        self, found: FailureGroups, names: list[str], part: Part = "all", *, count: int = SAMPLE_TEXTS
    ) -> list[str]:
        """Ids of texts of some groups; ``top``: those among the top of any failure, the most frequent first."""
        counts = self.folder.texts(found.k)["num_top"].to_numpy()
        top = np.flatnonzero(counts)
        return part_of_groups(
            found.groups, names, part, self.ids, top[np.argsort(-counts[top], kind="stable")], count
        )

    def answer(self, question_id: str, k: int = TOP) -> pl.DataFrame:
        """The texts that taught one failure, strongest first: train_id, score (nats), text."""
        scores = self.folder.scores(self._number_of(question_id))
        rows = top_rows(scores, k)
        rows = rows[scores[rows] > 0]
        ids = self.ids.gather(rows.tolist()).to_list() if len(rows) else []
        shown = self.data.texts(ids, self.dataset_id)
        return pl.DataFrame(
            {"train_id": ids, "score": scores[rows].astype(np.float64), "text": [one.text for one in shown]},
            schema={"train_id": pl.String, "score": pl.Float64, "text": pl.String},
        )

    def without(self, train_ids: list[str]) -> WithoutTexts:
        """What removing some texts is predicted to do to every failure; one that is named twice counts once.

        Raises:
            DataError: An id is unknown, or none is given.
        """
        if not train_ids:
            raise DataError("a removal needs at least one text: choose some.")
        ids = list(dict.fromkeys(train_ids))
        rows = np.asarray(self.data.files.examples(self.dataset_id).rows_of(ids), dtype=np.int64)
        changes, shares, gone, whole = list[float](), list[float](), 0.0, 0.0
        for scores in self.folder.iter_scores():
            own, total = scores[rows].astype(np.float64), float(scores.clip(min=0).sum(dtype=np.float64))
            changes.append(-float(own.sum()))
            part = float(own.clip(min=0).sum())
            shares.append(part / total if total > 0 else 0.0)
            gone, whole = gone + part, whole + total
        frame = pl.DataFrame(
            {
                "question_id": [one.question_id for one in self.questions],
                "prompt": [one.prompt for one in self.questions],
                "completion": [one.completion for one in self.questions],
                "change": changes,
                "share": shares,
            }
        )
        return WithoutTexts(ids, gone / whole if whole > 0 else 0.0, frame.sort("change"))

    def figure(self, by: str = "source", k: int = TOP) -> go.Figure:
        """Sums of the groups as bars with intervals, as in the studio."""
        return sum_bars(self.groups(by, k).frame, by)

    def heat_map(self, by: str = "source", k: int = TOP) -> go.Figure:
        """Failures by groups, as in the studio."""
        found = self.groups(by, k)
        return heat_map(found.values, [one.question_id for one in self.questions], found.frame["group"].to_list())

    def to_polars(self) -> pl.DataFrame:
        """One row per failure."""
        names = ("question_id", "line", "prompt", "completion", "expected", "why")
        return pl.DataFrame(
            [{name: getattr(one, name) for name in names} for one in self.questions], infer_schema_length=None
        )

    def to_html(self, *, redact: bool = False) -> str:
        """Sources and texts as HTML without a script."""
        by = "source" if "source" in self.data.files.examples(self.dataset_id).metadata_columns else None
        texts = self.texts(most=10)
        shown = {one.train_id: one.text for one in self.data.texts(texts["train_id"].to_list(), self.dataset_id)}
        return failures_html(
            self.sentence, None if by is None else self.groups(by).frame, texts, shown, redact=redact
        )

    def to_dict(self, by: str = "source", k: int = TOP) -> dict[str, Any]:
        """Groups, texts and questions as JSON-serialisable values."""
        found = self.groups(by, k)
        return {
            "run_id": self.run_id,
            **{name: self.said[name] for name in ("file", "index_id", "dataset_id", "read")},
            "by": by,
            "k": k,
            "groups": found.frame.to_dicts(),
            "texts": self.texts(k).to_dicts(),
            "mixed": self.mixed(k).to_dicts(),
            "questions": self.to_polars().to_dicts(),
        }

    def _number_of(self, question_id: str) -> int:
        for number, one in enumerate(self.questions):
            if one.question_id == question_id:
                return number
        raise DataError(f"{self.run_id} asked no failure {question_id!r}: choose one that is listed.")


def _shown(total: float) -> list[pl.Expr]:
    return [
        pl.col("train_id"),
        pl.col("num_top"),
        pl.col("num_bottom"),
        pl.col("value"),
        (pl.col("positive") / (total if total > 0 else 1.0)).alias("share"),
        ((pl.col("num_top") > 0) & (pl.col("num_bottom") > 0)).alias("helps_and_harms"),
    ]


def _groups(
    groups: TextGroups,
    k: int,
    of_questions: tuple[NDArray[np.float64], NDArray[np.float64]],
    num_top: NDArray[np.float64],
    num_asked: NDArray[np.float64],
) -> FailureGroups:
    import torch

    from lorif_core.metrics.shares import shares_of_total

    values, positive = of_questions
    sizes = np.bincount(groups.code_of, minlength=len(groups.names))
    low, high = sum_intervals(values)
    shares = shares_of_total(torch.from_numpy(positive))
    expected = num_top.sum() * sizes / max(sizes.sum(), 1)
    frame = pl.DataFrame(
        {
            "group": groups.names,
            "num_texts": sizes,
            "value": values.sum(0),
            "value_low": low,
            "value_high": high,
            "share": shares.share.numpy(),
            "share_low": shares.low.numpy(),
            "share_high": shares.high.numpy(),
            "num_top": num_top.astype(np.int64),
            "fold": np.divide(num_top, expected, out=np.zeros_like(num_top), where=expected > 0),
            "num_questions": num_asked.astype(np.int64),
            "condition": pl.Series(groups.conditions, dtype=pl.String),
            "place": np.arange(len(sizes)),
        }
    ).sort(["value", "group"], descending=[True, False])
    ends = ("value_low", "value_high", "share_low", "share_high")
    if len(values) < 2:
        frame = frame.with_columns(pl.lit(None, pl.Float64).alias(name) for name in ends)
    return FailureGroups(groups.by, k, frame.drop("place"), values[:, frame["place"].to_numpy()], groups)
