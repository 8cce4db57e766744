"""The score of every example on a question, in store order: ``scores/<fingerprint>.parquet``.

Rules ("in the top 1 % for query 7"), what-if and histograms read it; none of them needs a model, and
this file does not load torch.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from lorif_core.catalog import QueryRecord
from lorif_core.config import Search
from lorif_core.errors import ArtefactError, DamagedArtefact
from lorif_core.files import BLANK_SEAL, SEAL, check_file, replace_sealed
from lorif_core.system_failures import refuse_if_of_the_machine
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles

SCORES = pa.schema([("score", pa.float32()), ("influence", pa.float32())])
"""A score, and what it is without any normalisation; version 0.1 kept the former only."""

QUESTION = "lorif.question"
"""Key of the metadata: the fingerprint of the question that they answer; version 0.1 did not say."""

SAID = "said"
"""Key beside a kept question's settings: how it was put and what the model read of it, see ``kept_questions``."""

FAST = "fast_search"
"""Key below it: what a fast search told of itself."""

REMEDY = "Move the file away and ask the question again."


def is_of_a_fast_search(query: QueryRecord) -> bool:
    """Whether a kept question was answered without the scores of all texts."""
    return FAST in json.loads(query.settings_json).get(SAID, {})


def search_of(query: QueryRecord) -> Search:
    """By which search a kept question was answered."""
    return "fast" if is_of_a_fast_search(query) else "exact"


@contextmanager
def keeping_scores(path: Path) -> Iterator[Callable[[NDArray[np.float32], NDArray[np.float32]], None]]:
    """Hand out a function that appends the next examples' scores and influences, both (n,).

    The file is there when the block ends.
    """
    path.parent.mkdir(exist_ok=True)
    schema = SCORES.with_metadata({SEAL: BLANK_SEAL, QUESTION: path.stem})
    with replace_sealed(path) as partial, pq.ParquetWriter(partial, schema, compression="zstd") as writer:

        def keep(scores: NDArray[np.float32], influences: NDArray[np.float32]) -> None:
            writer.write_table(pa.table([pa.array(scores), pa.array(influences)], schema=schema))

        yield keep


def read_scores(files: WorkspaceFiles, query: QueryRecord, rows: Sequence[int] | None = None) -> NDArray[np.float32]:
    """Scores on a kept question, of the given rows or of all, (N,) float32 in store order.

    Raises:
        ArtefactError: They are gone, or damaged.
    """
    return _read(files, query, "score", rows)


def read_influences(
    files: WorkspaceFiles, query: QueryRecord, rows: Sequence[int] | None = None
) -> NDArray[np.float32]:
    """The scores of a kept question without any normalisation, as ``read_scores``; they can be added up.

    Raises:
        ArtefactError: They are gone, or damaged, or were never kept.
    """
    return _read(files, query, influence_column(files, query), rows)


def influence_column(files: WorkspaceFiles, query: QueryRecord) -> str:
    """Which column holds what can be added up.

    Raises:
        ArtefactError: The scores are normalised and were kept by version 0.1, which kept nothing else, or the
            question was answered by a fast search, which kept none.
    """
    _refuse_fast_search(query)
    if query.normalisation == "none":
        return "score"
    if not files.scores_file(query.fingerprint).is_file() or "influence" in _schema_of(files, query).names:
        return "influence"
    raise ArtefactError(
        f"influences are added up, but of query {query.query_id} only the normalised scores ({query.normalisation}) "
        "are kept. Ask it again."
    )


def _read(files: WorkspaceFiles, query: QueryRecord, column: str, rows: Sequence[int] | None) -> NDArray[np.float32]:
    _schema_of(files, query)
    with _damage_named(files, query) as path:
        scores = pq.read_table(path, columns=[column])[column].to_numpy()
    return scores if rows is None else scores[np.asarray(rows, dtype=np.int64)]


def _schema_of(files: WorkspaceFiles, query: QueryRecord) -> pa.Schema:
    """Columns of a question's scores, after a look at every byte of them."""
    with _damage_named(files, query) as path:
        check_file(path, remedy=REMEDY)
        schema = pq.read_schema(path)
    of_question = (schema.metadata or {}).get(QUESTION.encode(), path.stem.encode()).decode()
    if of_question != path.stem:
        raise DamagedArtefact(f"{str(path)!r} holds the scores of another question than its name says. {REMEDY}")
    return schema


def _refuse_fast_search(query: QueryRecord) -> None:
    if is_of_a_fast_search(query):
        raise ArtefactError(
            f"this needs the scores of all texts, and query {query.query_id} was answered by a fast search, which "
            "takes those of some. Ask it again with `--search exact`."
        )


@contextmanager
def _damage_named(files: WorkspaceFiles, query: QueryRecord) -> Iterator[Path]:
    path = files.scores_file(query.fingerprint)
    _refuse_fast_search(query)
    if not path.is_file():
        raise ArtefactError(
            f"the scores of query {query.query_id} are missing from {str(path.parent)!r}: ask it again."
        )
    try:
        yield path
    except (pa.ArrowInvalid, OSError, KeyError) as error:
        refuse_if_of_the_machine(error, path)
        raise DamagedArtefact(
            f"the scores of query {query.query_id} in {str(path)!r} are damaged. {REMEDY}"
        ) from error


def scores_frame(files: WorkspaceFiles, query: QueryRecord) -> pl.DataFrame:
    """Every example's score on a kept question: train_id, score, in store order."""
    ids = [train_id for chunk in files.examples(query.dataset_id).iter_ids() for train_id in chunk]
    return pl.DataFrame({"train_id": ids, "score": read_scores(files, query)})
