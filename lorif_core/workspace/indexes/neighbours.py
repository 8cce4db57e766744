"""Which texts a text resembles: by the gradients that an index stores, or by what its model makes of them."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from lorif_core.config import Alike, Search, check_choice
from lorif_core.data.examples import ExampleTable
from lorif_core.errors import ConfigError, DataError
from lorif_core.views.search_report import FastSearch
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles
from lorif_core.workspace.indexes.linked_members import check_member, members_of
from lorif_core.workspace.indexes.usual_search import READ_WHOLE, told, usual_search

if TYPE_CHECKING:
    import torch

SCHEMA = {"rank": pl.Int64, "train_id": pl.String, "cosine": pl.Float64, "text": pl.String}


@dataclass(frozen=True)
class Neighbours:
    """The texts most like a text."""

    train_id: str
    texts: pl.DataFrame
    """rank, train_id, cosine, text; the nearest first."""

    fast_search: FastSearch | None = None
    """What the list rests on where not every text was compared; None: all were."""

    by: Alike = "gradient"
    """gradient: they teach alike. meaning: the model makes the same of them."""

    def to_polars(self) -> pl.DataFrame:
        """The texts as a frame."""
        return self.texts

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-serialisable values."""
        return {
            "train_id": self.train_id,
            "by": self.by,
            "search": "exact" if self.fast_search is None else "fast",
            "fast_search": None if self.fast_search is None else asdict(self.fast_search),
            "neighbours": self.texts.to_dicts(),
        }


def find_neighbours(
    files: WorkspaceFiles, train_id: str, k: int, index_id: str | None, search: Search | None
) -> Neighbours:
    """The k texts whose stored gradients are most like those of a text.

    Of an index with further members the cosine is the mean over all of them, whatever they weigh in a score.

    Raises:
        ConfigError: ``k`` is below 1, or there is no such search.
        DataError: The index's data does not hold the text.
        ArtefactError: The index or a member is damaged.
    """
    from lorif_core.passes.nearest import nearest_examples, search_nearest

    if k < 1:
        raise ConfigError(f"k must be at least 1, got {k}.")
    if search is not None:
        check_choice("search", search, Search)
    record = files.choose_index(index_id)
    reader, examples = files.open_index(record.index_id), files.examples(record.dataset_id)
    reader.require_complete()
    (position,) = examples.rows_of([train_id])
    members = members_of(files, record)
    others = [] if members is None else [check_member(files, record, one) for one in members.others]
    theirs = [files.open_index(one.index_id) for one in others]
    fast_search = None
    if search == "fast" and not reader.place.reads_in_parts:
        raise ConfigError(f"a fast search is not possible: {READ_WHOLE}. Pass `--search exact`, or copy the index.")
    usual = usual_search(record.num_examples) if reader.place.reads_in_parts else "exact"
    if (search or usual) == "fast":
        positions, cosines, report = search_nearest(reader, position, k, theirs)
        fast_search = told(report, k)
    else:
        positions, cosines = nearest_examples(reader, position, k, theirs)
    return Neighbours(train_id, _texts(examples, positions.tolist(), cosines.tolist()), fast_search)


def find_by_meaning(files: WorkspaceFiles, train_id: str, k: int, index_id: str | None) -> Neighbours:
    """The k texts of which the model makes most what it makes of a text: the cosine of their standardised states.

    Every text is compared. One of which the model read no token is like none.

    Raises:
        ConfigError: ``k`` is below 1.
        DataError: The index's data does not hold the text, or the model read no token of it.
        ArtefactError: The states of the texts were not computed yet, or are damaged.
    """
    import torch

    from lorif_core.linalg.alike import standard_of
    from lorif_core.workspace.indexes.text_states import read_states

    if k < 1:
        raise ConfigError(f"k must be at least 1, got {k}.")
    record = files.choose_index(index_id)
    examples, states = files.examples(record.dataset_id), read_states(files, record)
    (position,) = examples.rows_of([train_id])
    standard = standard_of(states.iter_parts())
    first, own = 0, None
    for part in states.iter_parts():
        if first <= position < first + len(part):
            own = standard.of(part[position - first : position - first + 1])[0]
        first += len(part)
    if own is None or not own.any():
        raise DataError(f"the model read no token of text {train_id!r}, so it has no meaning to compare by.")
    cosines = torch.cat([_cosines(standard.of(part), own) for part in states.iter_parts()])
    cosines[position] = -torch.inf
    best = cosines.argsort(descending=True, stable=True)[: min(k, len(cosines) - 1)]
    best = best[cosines[best] > -torch.inf]
    texts = _texts(examples, best.tolist(), cosines[best].double().tolist())
    return Neighbours(train_id, texts, by="meaning")


def _cosines(rows: "torch.Tensor", own: "torch.Tensor") -> "torch.Tensor":
    import torch

    return torch.where(rows.any(1), rows @ own, -torch.inf)


def _texts(examples: ExampleTable, positions: list[int], cosines: list[float]) -> pl.DataFrame:
    found = examples.examples_at(positions)
    return pl.DataFrame(
        {
            "rank": range(1, len(found) + 1),
            "train_id": [one.train_id for one in found],
            "cosine": cosines,
            "text": [one.plain_text for one in found],
        },
        schema=SCHEMA,
    )
