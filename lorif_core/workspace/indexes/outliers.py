"""Texts by self-influence, which the index holds: those that the model can only have learnt from themselves."""

import polars as pl
import torch

from lorif_core.workspace.folder.workspace_files import WorkspaceFiles
from lorif_core.workspace.indexes.method_of_index import method_of_index
from lorif_core.workspace.indexes.open_index import check_fit


def rank_self_influences(files: WorkspaceFiles, index_id: str | None) -> pl.DataFrame:
    """Every example's score on itself under the index's own damping: rank, train_id, self_influence.

    The largest first; equal ones in store order. In the unit of the index's scores.

    Raises:
        ArtefactError: The index is not complete, or damaged.
    """
    record = files.choose_index(index_id)
    reader, examples = files.open_index(record.index_id), files.examples(record.dataset_id)
    reader.require_complete()
    method = method_of_index(record)
    check_fit(record, reader, method)
    own = torch.cat([reader.self_influence(shard) for shard in reader.iter_shards()])
    own *= method.unit_per_product(reader.num_train_tokens)
    frame = pl.DataFrame({"train_id": examples.column("train_id"), "self_influence": own.numpy()})
    ordered = frame.sort("self_influence", descending=True, maintain_order=True)
    return ordered.with_row_index("rank", offset=1).with_columns(pl.col("rank").cast(pl.Int64))
