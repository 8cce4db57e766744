"""Two kept questions side by side: which texts both bring up, how ranks change, how alike the rankings are.

Everything comes from the kept scores of all texts: no model is loaded, and a text that one list does not show
still has its exact rank there. Ranks compare between methods and normalisations, whose scores do not.
"""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go
import polars as pl
from numpy.typing import NDArray

from lorif_core.catalog import QueryRecord
from lorif_core.errors import ConfigError, DataError
from lorif_core.views.comparisons import rank_lines
from lorif_core.views.diffs import Piece, token_diff
from lorif_core.views.list_html import comparison_html
from lorif_core.workspace.asking.answer import Answer
from lorif_core.workspace.asking.conventions import objective_value_of
from lorif_core.workspace.folder.displayed import Displayed
from lorif_core.workspace.folder.kept_scores import scores_frame
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles

Side = Literal["supports", "opposes"]

RANK_CHANGES = pl.Schema(
    {
        "train_id": pl.String,
        "listed": pl.String,
        "rank_a": pl.Int64,
        "rank_b": pl.Int64,
        "score_a": pl.Float64,
        "score_b": pl.Float64,
        "text": pl.String,
    }
)
"""Columns of ``Comparison.rank_changes``; ``listed`` is both, a or b."""


@dataclass(frozen=True)
class ComparedQuestion:
    """One of the two questions."""

    query_id: str
    prompt: str
    completion: str
    contrast: str | None

    tokens: str | None
    """The chosen tokens of the completion as JSON; None: all."""

    index_id: str
    method: str
    objective: str
    normalisation: str

    objective_value: float
    """In nats."""


@dataclass(frozen=True)
class Comparison(Displayed):
    """What two questions have in common."""

    a: ComparedQuestion
    b: ComparedQuestion

    side: Side
    k: int
    """Length of the lists that are compared; shorter where fewer texts have a score of that sign."""

    rank_changes: pl.DataFrame
    """One row per text of either list, see ``RANK_CHANGES``; the best rank of the two first. A rank counts all
    texts, from 1, the strongest of ``side`` first; null if the other question's data does not hold the text."""

    rank_correlation: float | None
    """Spearman correlation of the scores of all texts that both questions ranked; None below two."""

    num_common: int
    """How many texts both questions ranked."""

    home: object = field(default=None, repr=False, compare=False)
    """The workspace they were asked in, which widgets decide in."""

    @property
    def shared(self) -> list[str]:
        """Train ids in both lists, in the order of A."""
        return self._listed("both", "rank_a")

    @property
    def only_a(self) -> list[str]:
        """Train ids in the list of A only, in its order."""
        return self._listed("a", "rank_a")

    @property
    def only_b(self) -> list[str]:
        """Train ids in the list of B only, in its order."""
        return self._listed("b", "rank_b")

    @property
    def differences(self) -> list[str]:
        """In what the questions differ: prompt, completion, contrast, tokens, index_id, method, …"""
        first, second = asdict(self.a), asdict(self.b)
        return [name for name in first if first[name] != second[name] and name not in ("query_id", "objective_value")]

    @property
    def prompt_diff(self) -> list[Piece]:
        """Both prompts in one, see ``token_diff``."""
        return token_diff(self.a.prompt, self.b.prompt)

    @property
    def completion_diff(self) -> list[Piece]:
        """Both completions in one, see ``token_diff``."""
        return token_diff(self.a.completion, self.b.completion)

    def figure(self) -> go.Figure:
        """How ranks change, as in the studio."""
        return rank_lines(self.rank_changes)

    def to_html(self, *, redact: bool = False) -> str:
        """The rank changes as HTML without a script."""
        return comparison_html(self.to_dict(), redact=redact)

    def to_polars(self) -> pl.DataFrame:
        """The rank changes."""
        return self.rank_changes

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-serialisable values."""
        return {
            "a": asdict(self.a),
            "b": asdict(self.b),
            "differences": self.differences,
            "side": self.side,
            "k": self.k,
            "shared": self.shared,
            "only_a": self.only_a,
            "only_b": self.only_b,
            "rank_correlation": self.rank_correlation,
            "num_common": self.num_common,
            "rank_changes": self.rank_changes.to_dicts(),
            "prompt_diff": [piece._asdict() for piece in self.prompt_diff],
            "completion_diff": [piece._asdict() for piece in self.completion_diff],
        }

    def _listed(self, listed: str, by: str) -> list[str]:
        return self.rank_changes.filter(pl.col("listed") == listed).sort(by)["train_id"].to_list()


def compare_questions(
    files: WorkspaceFiles, a: str | Answer, b: str | Answer, *, side: Side = "supports", k: int = 20
) -> Comparison:
    """Compare two kept questions, see ``Comparison``.

    Args:
        files: The workspace.
        a: Id of a kept question, or an answer that was kept.
        b: The other one, about the same data set or another version of it.
        side: Which end of the rankings is compared.
        k: Length of the lists.

    Raises:
        ConfigError: ``side`` or ``k`` is out of range.
        DataError: An answer was not kept, or the questions are about different data.
        ArtefactError: The scores of a question are gone.
    """
    import torch

    from lorif_core.metrics.correlation import spearman

    if side not in ("supports", "opposes") or k < 1:
        raise ConfigError(f"a comparison takes supports or opposes and k of at least 1, got {side!r} and {k}.")
    first, second = _record(files, a), _record(files, b)
    _check_same_data(files, first, second)
    ranked_a, ranked_b = _ranked(files, first, side), _ranked(files, second, side)
    common = ranked_a.join(ranked_b, on="train_id", suffix="_b")
    scores = [torch.from_numpy(common[name].to_numpy().copy()) for name in ("score", "score_b")]
    return Comparison(
        a=_compared(files, first),
        b=_compared(files, second),
        side=side,
        k=k,
        rank_changes=_rank_changes(ranked_a, ranked_b, side, k).pipe(_with_texts, files, first, second),
        rank_correlation=float(spearman(*scores)) if len(common) > 1 else None,
        num_common=len(common),
    )


def _record(files: WorkspaceFiles, question: str | Answer) -> QueryRecord:
    query_id = question if isinstance(question, str) else question.query_id
    if query_id is None:
        raise DataError("an answer that was not kept has no scores to compare: ask it without `keeps=False`.")
    return files.catalog.query(query_id)


def _check_same_data(files: WorkspaceFiles, a: QueryRecord, b: QueryRecord) -> None:
    first, second = files.catalog.dataset(a.dataset_id), files.catalog.dataset(b.dataset_id)
    if first.corpus_id != second.corpus_id:
        raise DataError(
            f"questions are compared text by text, but query {a.query_id} is about data set {first.name!r} and query "
            f"{b.query_id} about {second.name!r}. Choose two about the same data."
        )


def _ranked(files: WorkspaceFiles, query: QueryRecord, side: Side) -> pl.DataFrame:
    """Every text with its score and rank: train_id, score, rank; ties go to the text that was stored first."""
    frame = scores_frame(files, query)
    scores = frame["score"].to_numpy()
    return frame.with_columns(rank=pl.Series(_ranks(-scores if side == "supports" else scores)))


def _ranks(keys: NDArray[np.float32]) -> NDArray[np.int64]:
    ranks = np.empty(len(keys), dtype=np.int64)
    ranks[np.argsort(keys, kind="stable")] = np.arange(1, len(keys) + 1)
    return ranks


def _rank_changes(ranked_a: pl.DataFrame, ranked_b: pl.DataFrame, side: Side, k: int) -> pl.DataFrame:
    list_a, list_b = _list(ranked_a, side, k), _list(ranked_b, side, k)
    ids = pl.concat([list_a, list_b]).unique()
    in_a, in_b = pl.col("train_id").is_in(list_a.to_list()), pl.col("train_id").is_in(list_b.to_list())
    return (
        pl.DataFrame({"train_id": ids})
        .join(ranked_a.rename({"score": "score_a", "rank": "rank_a"}), on="train_id", how="left")
        .join(ranked_b.rename({"score": "score_b", "rank": "rank_b"}), on="train_id", how="left")
        .with_columns(
            listed=pl.when(in_a & in_b).then(pl.lit("both")).when(in_a).then(pl.lit("a")).otherwise(pl.lit("b"))
        )
        .sort(pl.min_horizontal("rank_a", "rank_b"), "rank_a", "rank_b", nulls_last=True)
    )


def _list(ranked: pl.DataFrame, side: Side, k: int) -> pl.Series:
    """Ids of the k strongest texts whose score has the sign of the side."""
    has_sign = pl.col("score") > 0 if side == "supports" else pl.col("score") < 0
    return ranked.filter((pl.col("rank") <= k) & has_sign)["train_id"]


def _with_texts(frame: pl.DataFrame, files: WorkspaceFiles, a: QueryRecord, b: QueryRecord) -> pl.DataFrame:
    texts: dict[str, str] = {}
    for dataset_id, is_here in ((b.dataset_id, pl.col("rank_b")), (a.dataset_id, pl.col("rank_a"))):
        ids = frame.filter(is_here.is_not_null())["train_id"].to_list()
        table = files.examples(dataset_id)
        texts |= {one.train_id: one.plain_text for one in table.examples_at(table.rows_of(ids))}
    said = pl.Series("text", [texts[one] for one in frame["train_id"]], dtype=pl.String)
    return frame.with_columns(said).select(pl.col(name).cast(kind) for name, kind in RANK_CHANGES.items())


def _compared(files: WorkspaceFiles, query: QueryRecord) -> ComparedQuestion:
    return ComparedQuestion(
        query_id=query.query_id,
        prompt=query.prompt,
        completion=query.completion,
        contrast=query.contrast,
        tokens=query.tokens_json,
        index_id=query.index_id,
        method=files.catalog.index(query.index_id).method,
        objective=query.objective,
        normalisation=query.normalisation,
        objective_value=objective_value_of(query),
    )
