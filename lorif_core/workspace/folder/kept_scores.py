"""The score of every example on a question, in store order: ``scores/<fingerprint>.parquet``.

Rules ("in the top 1 % for query 7"), what-if and histograms read it; none of them needs a model, and
this file does not load torch.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from lorif_core.catalog import QueryRecord
from lorif_core.errors import ArtefactError, DamagedArtefact
from lorif_core.files import replace_file
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles

SCORES = pa.schema([("score", pa.float32())])


@contextmanager
def keeping_scores(path: Path) -> Iterator[Callable[[NDArray[np.float32]], None]]:
    """Hand out a function that appends the next examples' scores, (n,); the file is there when the block ends."""
    path.parent.mkdir(exist_ok=True)
    with replace_file(path) as partial, pq.ParquetWriter(partial, SCORES, compression="zstd") as writer:

        def keep(scores: NDArray[np.float32]) -> None:
            writer.write_table(pa.table([pa.array(scores)], schema=SCORES))

        yield keep


def read_scores(files: WorkspaceFiles, query: QueryRecord, rows: Sequence[int] | None = None) -> NDArray[np.float32]:
    """Scores on a kept question, of the given rows or of all, (N,) float32 in store order.

    Raises:
        ArtefactError: They are gone, or damaged.
    """
    path = files.scores_file(query.fingerprint)
    if not path.is_file():
        raise ArtefactError(
            f"the scores of query {query.query_id} are missing from {str(path.parent)!r}: ask it again."
        )
    try:
        scores = pq.read_table(path)["score"].to_numpy()
    except (pa.ArrowInvalid, OSError, KeyError) as error:
        raise DamagedArtefact(
            f"the scores of query {query.query_id} in {str(path)!r} are damaged: move the file away and ask it again."
        ) from error
    return scores if rows is None else scores[np.asarray(rows, dtype=np.int64)]


def scores_frame(files: WorkspaceFiles, query: QueryRecord) -> pl.DataFrame:
    """Every example's score on a kept question: train_id, score, in store order."""
    ids = [train_id for chunk in files.examples(query.dataset_id).iter_ids() for train_id in chunk]
    return pl.DataFrame({"train_id": ids, "score": read_scores(files, query)})
