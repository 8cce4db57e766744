"""Which texts a text resembles, as an index stores them."""

import polars as pl

from lorif_core.errors import ConfigError
from lorif_core.passes.nearest import nearest_examples
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles
from lorif_core.workspace.indexes.linked_members import check_member, members_of


def find_neighbours(files: WorkspaceFiles, train_id: str, k: int, index_id: str | None) -> pl.DataFrame:
    """The k texts whose stored gradients are most like those of a text: rank, train_id, cosine, text.

    Of an index with further members the cosine is the mean over all of them, whatever they weigh in a score.

    Raises:
        ConfigError: ``k`` is below 1.
        DataError: The index's data does not hold the text.
        ArtefactError: The index or a member is damaged.
    """
    if k < 1:
        raise ConfigError(f"k must be at least 1, got {k}.")
    record = files.choose_index(index_id)
    reader, examples = files.open_index(record.index_id), files.examples(record.dataset_id)
    reader.require_complete()
    (position,) = examples.rows_of([train_id])
    members = members_of(files, record)
    others = [] if members is None else [check_member(files, record, one) for one in members.others]
    theirs = [files.open_index(one.index_id) for one in others]
    positions, cosines = nearest_examples(reader, position, k, theirs)
    found = examples.examples_at(positions.tolist())
    return pl.DataFrame(
        {
            "rank": range(1, len(found) + 1),
            "train_id": [one.train_id for one in found],
            "cosine": cosines.tolist(),
            "text": [one.plain_text for one in found],
        },
        schema={"rank": pl.Int64, "train_id": pl.String, "cosine": pl.Float64, "text": pl.String},
    )
