"""What every example, and every source, is worth to a whole set of queries.

The value of an example is its influence summed over the queries. Positive: it taught the model the
completions of the set. If these are failures, that is blame; if they are what the model should say,
it is credit, and the shares of the positive total are a pay-out table.
"""

import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from lorif_core.config import ScoreConfig
from lorif_core.data.table_sources import refuse_large_parquet
from lorif_core.errors import ConfigError, DataError
from lorif_core.files import replace_file
from lorif_core.metrics.shares import shares_of_total
from lorif_core.plain_files import refuse_special
from lorif_core.system_failures import refuse_if_of_the_machine
from lorif_core.views.search_report import MissingParts
from lorif_core.workspace.asking.query_limits import PassReport, QueryFile
from lorif_core.workspace.asking.query_passes import score_in_passes
from lorif_core.workspace.asking.scanner import OWN, Scanner
from lorif_core.workspace.asking.score_file import read_query_examples, to_query
from lorif_core.workspace.folder.progress import ProgressSink, no_progress
from lorif_core.workspace.indexes.open_index import OpenIndex

VALUE_CONVENTION = (
    "Positive: training on it made the completions of these queries likelier; negative: less likely. "
    "Values are nats, summed over the queries."
)
NO_GROUP = "(none)"


class _Groups(NamedTuple):
    """Which group each example belongs to."""

    names: list[str]
    code_of: Tensor
    """(N,) int64: position of the example's group among the names."""


@dataclass(frozen=True)
class Valuation:
    """Influence of every example on a set of queries."""

    index_id: str
    num_queries: int
    by: str
    """What the groups are: a column of the data, or ``group``."""

    examples: pl.DataFrame
    """train_id, value, group; in store order."""

    groups: pl.DataFrame
    """group, num_examples, value, share, share_low, share_high (95 %, over queries); largest share first."""

    elapsed_s: float
    passes: PassReport
    """How many there were, what their queries took, and what was left out of them."""

    missing: MissingParts | None = None
    """Examples that have no value, as no worker could read them; they count in no group. None: all have one."""

    def top(self, k: int = 20) -> pl.DataFrame:
        """The k most valuable examples; equal values in order of their ids."""
        return self.examples.sort(["value", "train_id"], descending=[True, False]).head(k)

    def bottom(self, k: int = 20) -> pl.DataFrame:
        """The k examples that oppose the completions most."""
        return self.examples.sort(["value", "train_id"]).head(k)

    def write(self, out: Path) -> None:
        """Write the value of every example as Parquet, atomically."""
        with replace_file(out) as partial:
            self.examples.write_parquet(partial)

    def to_dict(self, k: int = 20) -> dict[str, Any]:
        """Groups and the k examples at both ends, as JSON-serialisable values."""
        return {
            "index_id": self.index_id,
            "num_queries": self.num_queries,
            "by": self.by,
            "groups": self.groups.to_dicts(),
            "top": self.top(k).to_dicts(),
            "bottom": self.bottom(k).to_dicts(),
            "elapsed_s": self.elapsed_s,
            "passes": asdict(self.passes),
            "missing": None if self.missing is None else asdict(self.missing),
        }


def read_groups(path: Path) -> pl.DataFrame:
    """Groups of examples from a Parquet or CSV file: train_id, group.

    Raises:
        DataError: The file cannot be read or lacks a column.
    """
    refuse_special(path)
    try:
        if path.suffix == ".parquet":
            refuse_large_parquet(path, pq.read_metadata(path))
        frame = pl.read_csv(path, infer_schema=False) if path.suffix == ".csv" else pl.read_parquet(path)
    except (OSError, pa.ArrowException, pl.exceptions.PolarsError) as error:
        refuse_if_of_the_machine(error, path)
        raise DataError(
            f"groups {str(path)!r} cannot be read ({str(error).splitlines()[0]}): check the file."
        ) from error
    _check_groups(frame, repr(str(path)))
    return frame


def _check_groups(frame: pl.DataFrame, name: str) -> None:
    if not {"train_id", "group"} <= set(frame.columns):
        raise DataError(f"groups need the columns train_id and group, {name} has {', '.join(frame.columns)}.")


def value_file(
    index: OpenIndex,
    asked: QueryFile,
    settings: ScoreConfig,
    *,
    by: str = "source",
    groups: pl.DataFrame | None = None,
    scanner: Scanner = OWN,
    on_progress: ProgressSink = no_progress,
) -> Valuation:
    """Sum every example's influence over the queries of a file; shares per group.

    Keeps 8 bytes per example in memory besides the ids, and 8 per query and group.

    Args:
        index: What to ask.
        asked: As for ``lorif score``.
        settings: Objective and damping.
        by: Metadata column that names an example's group.
        groups: Instead of a column: train_id, group; examples that are not in it belong to no group.
        scanner: Who scans the index.
        on_progress: Receives ("queries", captured, all) and ("scores", scores done, all), pass by pass.

    Raises:
        ArtefactError: Something of the index cannot be read.
        DataError: A query is bad, or there is no such column.
    """
    check_adds_nats(index, settings)
    if groups is not None:
        _check_groups(groups, "the frame")
    started = time.perf_counter()
    grouping = _given_groups(index, groups) if groups is not None else _column_groups(index, by)
    queries = [to_query(index, example, ends=asked.ends) for example in read_query_examples(asked.path)]
    sums = _Sums(
        torch.zeros(index.reader.manifest.num_examples, dtype=torch.float64),
        torch.zeros(len(queries), len(grouping.names), dtype=torch.float64),
    )
    done = score_in_passes(
        index,
        queries,
        settings,
        asked.limits,
        scanner=scanner,
        begin_pass=lambda rows: partial(sums.add, rows, grouping),
        on_progress=on_progress,
    )
    kept = _kept(index, done.missing)
    return Valuation(
        index_id=index.index_id,
        num_queries=len(queries),
        by="group" if groups is not None else by,
        examples=_examples_frame(index, sums.values, grouping, kept),
        groups=_groups_frame(sums, grouping, kept),
        elapsed_s=time.perf_counter() - started,
        passes=done.report,
        missing=done.missing,
    )


def check_adds_nats(index: OpenIndex, settings: ScoreConfig) -> None:
    """Refuse scores that cannot be added up over questions.

    Raises:
        ConfigError: They are normalised, or no nats, or of a contrast.
    """
    if settings.objective == "contrast":
        raise ConfigError("the objective contrast compares two completions, a file of queries has one. Use loss.")
    if settings.normalisation != "none":
        raise ConfigError(
            f"values add up nats, and normalised scores ({settings.normalisation}) are none. Leave out "
            "`--normalisation`."
        )
    if (unit := index.fitted.method.unit) != "nats":
        raise ConfigError(
            f"values add up nats, and the scores of index {index.index_id} are {unit}. Name an index of another "
            "method with `--index`, such as the default."
        )


class _Sums(NamedTuple):
    """What all queries add up to."""

    values: Tensor
    """(N,) float64."""

    positive: Tensor
    """(Q, groups) float64: what the positive scores of each group add up to."""

    def add(self, rows: slice, grouping: _Groups, start: int, scores: Tensor) -> None:
        """Add the scores (q, n) of some queries and of the examples from a position on."""
        stop = start + scores.shape[1]
        wide = scores.double()
        self.values[start:stop] += wide.sum(0)
        self.positive[rows].index_add_(1, grouping.code_of[start:stop], wide.clamp_min(0))


def _kept(index: OpenIndex, missing: MissingParts | None) -> Tensor:
    """Which examples have a value, (N,)."""
    kept = torch.ones(index.reader.manifest.num_examples, dtype=torch.bool)
    for number in () if missing is None else missing.parts:
        entry = index.reader.manifest.shards[number]
        kept[entry.start : entry.start + entry.num_examples] = False
    return kept


def _column_groups(index: OpenIndex, by: str) -> _Groups:
    if by not in index.examples.metadata_columns:
        known = ", ".join(index.examples.metadata_columns) or "none"
        raise DataError(f"examples are grouped by a metadata column, {by!r} is none of them: {known}. Pass `--by`.")
    column = index.examples.column(by)
    return _coded(column.cast(pl.String).fill_null(NO_GROUP))


def _given_groups(index: OpenIndex, groups: pl.DataFrame) -> _Groups:
    ids = pl.DataFrame({"train_id": index.examples.column("train_id")})
    given = groups.select(pl.col("train_id", "group").cast(pl.String)).unique("train_id", keep="first")
    joined = ids.join(given, on="train_id", how="left", maintain_order="left")
    return _coded(joined["group"].fill_null(NO_GROUP))


def _coded(names: pl.Series) -> _Groups:
    known = names.unique(maintain_order=True)
    codes = names.replace_strict(known, range(len(known)), return_dtype=pl.Int64)
    return _Groups(known.to_list(), torch.from_numpy(codes.to_numpy().copy()))


def _examples_frame(index: OpenIndex, values: Tensor, grouping: _Groups, kept: Tensor) -> pl.DataFrame:
    names = np.array(grouping.names, dtype=object)[grouping.code_of.numpy()]
    frame = pl.DataFrame(
        {
            "train_id": index.examples.column("train_id"),
            "value": values.numpy(),
            "group": pl.Series(names.tolist(), dtype=pl.String),
        }
    )
    return frame if kept.all() else frame.filter(pl.Series(kept.numpy()))


def _groups_frame(sums: _Sums, grouping: _Groups, kept: Tensor) -> pl.DataFrame:
    count, code_of = len(grouping.names), grouping.code_of[kept]
    totals = torch.zeros(count, dtype=torch.float64).index_add_(0, code_of, sums.values[kept])
    shares = shares_of_total(sums.positive)
    frame = pl.DataFrame(
        {
            "group": grouping.names,
            "num_examples": torch.bincount(code_of, minlength=count).numpy(),
            "value": totals.numpy(),
            "share": shares.share.numpy(),
            "share_low": shares.low.numpy(),
            "share_high": shares.high.numpy(),
        }
    )
    return frame.sort(["share", "group"], descending=[True, False])
