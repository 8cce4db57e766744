"""Score every training example on a file of queries, into a Parquet file."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from torch import Tensor

from lorif_core.config import ImportConfig, ScoreConfig
from lorif_core.data.examples import Example, ExampleTable
from lorif_core.data.importing import write_examples
from lorif_core.data.sources import iter_records
from lorif_core.errors import ConfigError, DataError, UnclearColumns
from lorif_core.files import replace_file
from lorif_core.passes.queries import Query
from lorif_core.plain_files import require_folder_of
from lorif_core.views.search_report import MissingParts
from lorif_core.workspace.asking.encode_for import query_of_table
from lorif_core.workspace.asking.encode_question import encode_question
from lorif_core.workspace.asking.query_limits import PassReport, QueryFile
from lorif_core.workspace.asking.query_passes import score_in_passes
from lorif_core.workspace.asking.question import Question
from lorif_core.workspace.asking.scanner import OWN, Scanner, TakeScores
from lorif_core.workspace.asking.usual_form import usual_form
from lorif_core.workspace.folder.progress import ProgressSink, no_progress
from lorif_core.workspace.indexes.open_index import OpenIndex

SCHEMA = pa.schema(
    [
        ("query_id", pa.dictionary(pa.int32(), pa.string())),
        ("example_id", pa.string()),
        ("score", pa.float32()),
    ]
)


@dataclass(frozen=True)
class ScoreResult:
    """What `lorif score` wrote."""

    file: str
    num_queries: int
    num_examples: int
    num_scores: int
    size_bytes: int
    elapsed_s: float
    passes: PassReport
    """How many there were, what their queries took, and what was left out of them."""

    missing: MissingParts | None = None
    """Texts without rows, as no worker could read them; None: all have theirs."""


def score_file(
    index: OpenIndex,
    asked: QueryFile,
    out: Path,
    settings: ScoreConfig,
    *,
    overwrites: bool = False,
    scanner: Scanner = OWN,
    on_progress: ProgressSink = no_progress,
) -> ScoreResult:
    """Write the score of every example on every query: columns query_id, example_id, score.

    Rows come query by query within a shard, or within a shorter stretch of texts where there are many queries;
    examples in store order. Memory grows neither with the examples nor, beyond the file's limits, with the queries.

    Args:
        index: What is asked.
        asked: Queries, and what they may take.
        out: Where to write.
        settings: Objective and damping.
        overwrites: Whether ``out`` may be there.
        scanner: Who scans the index.
        on_progress: Receives ("queries", captured, all) and ("scores", scores done, all), pass by pass.

    Raises:
        ArtefactError: Something of the index cannot be read.
        DataError: The queries file has a bad row, or ``out`` exists.
        ConfigError: The objective needs a second completion, which a file of queries has not.
    """
    if settings.objective == "contrast":
        raise ConfigError(
            "the objective contrast compares two completions and is for `lorif ask`. Use loss or margin."
        )
    _check_place(out, overwrites=overwrites)
    started = time.perf_counter()
    queries = [to_query(index, example, ends=asked.ends) for example in read_query_examples(asked.path)]
    with replace_file(out) as unfinished, pq.ParquetWriter(unfinished, SCHEMA, compression="zstd") as writer:
        done = score_in_passes(
            index,
            queries,
            settings,
            asked.limits,
            scanner=scanner,
            begin_pass=partial(_begin_pass, writer, index, queries),
            on_progress=on_progress,
        )
    return ScoreResult(
        file=str(out),
        num_queries=len(queries),
        num_examples=index.reader.manifest.num_examples,
        num_scores=done.num_scores,
        size_bytes=out.stat().st_size,
        elapsed_s=time.perf_counter() - started,
        passes=done.report,
        missing=done.missing,
    )


def _begin_pass(writer: pq.ParquetWriter, index: OpenIndex, queries: Sequence[Query], rows: slice) -> TakeScores:
    names = pa.array([query.query_id for query in queries[rows]], pa.string())
    return _RowWriter(writer, names, _IdStream(index.examples)).take


def _check_place(out: Path, *, overwrites: bool) -> None:
    if out.exists() and not overwrites:
        raise DataError(f"{str(out)!r} exists already. Choose another `--out`, or pass `--force` to replace it.")
    require_folder_of(out)


@dataclass(frozen=True)
class _RowWriter:
    """Writes the scores of some queries."""

    writer: pq.ParquetWriter
    names: pa.Array
    """Ids of the queries."""

    ids: "_IdStream"

    def take(self, start: int, scores: Tensor) -> None:
        """Write the scores (Q, n) of texts from a position on."""
        num_queries, num_examples = scores.shape
        example_ids = self.ids.take(start, num_examples)
        for query in range(num_queries):
            codes = pa.array(np.full(num_examples, query, dtype=np.int32))
            columns = [
                pa.DictionaryArray.from_arrays(codes, self.names),
                example_ids,
                pa.array(scores[query].numpy()),
            ]
            self.writer.write_table(pa.Table.from_arrays(columns, schema=SCHEMA))


class _IdStream:
    """Ids in store order, a stretch at a time."""

    def __init__(self, examples: ExampleTable) -> None:
        self._ids: Iterator[str] = (train_id for chunk in examples.iter_ids() for train_id in chunk)
        self._next = 0

    def take(self, start: int, count: int) -> pa.Array:
        """Those of ``count`` examples from a position on, which no earlier stretch has passed."""
        found = list(islice(self._ids, start - self._next, start - self._next + count))
        self._next = start + count
        return pa.array(found, pa.string())


def read_query_examples(path: Path) -> list[Example]:
    """Queries of a file as examples; the id is the column `query_id` or `id`, else a content hash.

    An empty completion asks for the end of the text.

    Raises:
        DataError: Its columns do not say what is asked, or a row is bad.
    """
    first = next((record.values for record in iter_records(path) if record.values is not None), None) or {}
    settings = ImportConfig(id="query_id" if "query_id" in first else None, strict=True, keep_empty=True)
    with tempfile.TemporaryDirectory(prefix="lorif-queries-") as folder:
        try:
            write_examples([path], settings, Path(folder))
        except UnclearColumns as error:
            names = ", ".join(f"`{name}`" for name in error.names)
            raise DataError(
                "queries must have `prompt` with `completion`, `messages`, or `text`, and may have a `query_id`; "
                f"those of {str(path)!r} have {names}: rename the columns that are meant."
            ) from error
        return list(ExampleTable(Path(folder) / "examples.parquet").iter_examples())


def to_query(index: OpenIndex, example: Example, *, ends: bool) -> Query:
    """One query of a file, encoded for an index.

    Args:
        index: What is asked.
        example: A prompt with a completion is asked as ``ask`` asks it; plain text and chats are taken as training
            texts are.
        ends: Whether completions end their texts: their end tokens are explained, too. Empty ones always do.

    Raises:
        DataError: Nothing is left to predict.
    """
    if (known := query_of_table(index, example)) is not None:
        return known
    if example.completion is not None:
        question = Question(
            prompt=example.prompt or "",
            completion=example.completion,
            ends=ends or not example.completion,
            form=usual_form(index.examples),
        )
        return encode_question(question, index.engine.loaded, example.train_id).query
    return as_a_text(index, example)


def as_a_text(index: OpenIndex, example: Example) -> Query:
    """One query of a file, encoded as a training text of an index: with its end token, cut at the index's length.

    So evaluations read it, whose truths are losses of such texts.

    Raises:
        DataError: Nothing is left to predict.
    """
    if (known := query_of_table(index, example)) is not None:
        return known
    encoded = index.engine.encoder.encode(example)
    if not encoded.has_targets:
        raise DataError(
            f"query {example.train_id!r} has nothing to predict within {index.engine.encoder.max_length} tokens. "
            "Shorten its prompt, or build the index with a larger `--max-length`."
        )
    return Query(example.train_id, (encoded,), (1.0,))
