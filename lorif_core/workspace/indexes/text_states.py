"""What the model makes of every text of an index, kept beside it: ``states-of-texts/ID/NNNNN.parquet``.

A row per text in store order: the mean over its tokens of the last hidden state, float16. A part holds ``PART_TEXTS``
of them and names the fingerprint of the index and its first row, so an interrupted computation goes on with the part
that is missing, and parts of an index that was built anew are made again.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lorif_core.catalog import IndexRecord
from lorif_core.errors import ArtefactError, DamagedArtefact
from lorif_core.files import BLANK_SEAL, SEAL, check_file, replace_sealed
from lorif_core.system_failures import refuse_if_of_the_machine
from lorif_core.workspace.folder.progress import ProgressSink
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles

if TYPE_CHECKING:
    from torch import Tensor

STAGE = "states"
PART_TEXTS = 4096
STATE = "state"
FINGERPRINT, FIRST = b"lorif.index", b"lorif.first"


@dataclass(frozen=True)
class TextStates:
    """The kept states of an index, whole."""

    index_id: str
    paths: tuple[Path, ...]

    def iter_parts(self) -> "Iterator[Tensor]":
        """States of consecutive texts, (n, d) float32; zeros for a text of which no token was read.

        Raises:
            DamagedArtefact: A part cannot be read.
        """
        import torch

        for path in self.paths:
            yield torch.from_numpy(_read(path))


def build_states(files: WorkspaceFiles, record: IndexRecord, on_progress: ProgressSink) -> TextStates:
    """Compute the states of a complete index's texts, or those that are missing; loads its model only for these.

    Raises:
        ConfigError: The index holds losses that were imported without a model.
        LorifError: The index is not complete, or its model or data is not what it was built from.
    """
    from lorif_core.passes.mean_states import mean_states
    from lorif_core.workspace.indexes.open_index import open_index

    paths = _paths(files, record)
    missing = [part for part, path in enumerate(paths) if not _is_whole(path, record, part)]
    if missing:
        opened = open_index(files, record, None)
        engine, examples = opened.engine, opened.examples
        done = record.num_examples - sum(_size(record, part) for part in missing)
        on_progress(STAGE, done, record.num_examples)

        def count(num_texts: int) -> None:
            nonlocal done
            done += num_texts
            on_progress(STAGE, done, record.num_examples)

        for part in missing:
            first = part * PART_TEXTS
            texts = engine.encoder.encode_all(examples.iter_examples(first, first + _size(record, part))).texts
            with engine.frozen_model() as model:
                found = mean_states(
                    model, texts, pad_id=engine.pad_id, tokens_per_batch=engine.tokens_per_batch, on_texts=count
                )
            _write(paths[part], found, record, first)
    return TextStates(record.index_id, tuple(paths))


def read_states(files: WorkspaceFiles, record: IndexRecord) -> TextStates:
    """The kept states of an index.

    Raises:
        ArtefactError: They were not computed yet, or only in part, or of an earlier index of this name.
    """
    paths = _paths(files, record)
    missing = sum(not _is_whole(path, record, part) for part, path in enumerate(paths))
    if missing:
        how_many = "no states of its texts yet" if missing == len(paths) else f"{missing} parts of states missing"
        raise ArtefactError(
            f"index {record.index_id!r} has {how_many}: compute them with `lorif map {files.root} --index "
            f"{record.index_id}`."
        )
    return TextStates(record.index_id, tuple(paths))


def has_states(files: WorkspaceFiles, index_id: str) -> bool:
    """Whether the states of an index's texts are all there, of the index as it is now."""
    record = files.catalog.index(index_id)
    return all(_is_whole(path, record, part) for part, path in enumerate(_paths(files, record)))


def told_of(path: Path) -> tuple[str, int]:
    """Fingerprint of the index and first row that a part names.

    Raises:
        DamagedArtefact: It names none.
    """
    try:
        facts = pq.read_schema(path).metadata or {}
        return facts[FINGERPRINT].decode(), int(facts[FIRST])
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise _damaged(path, error) from error


def _paths(files: WorkspaceFiles, record: IndexRecord) -> list[Path]:
    folder = files.states_of_texts(record.index_id)
    return [folder / f"{part:05d}.parquet" for part in range(-(-record.num_examples // PART_TEXTS))]


def _size(record: IndexRecord, part: int) -> int:
    return min(PART_TEXTS, record.num_examples - part * PART_TEXTS)


def _is_whole(path: Path, record: IndexRecord, part: int) -> bool:
    if not path.is_file():
        return False
    try:
        check_file(path)
        return told_of(path) == (record.fingerprint or "", part * PART_TEXTS)
    except ArtefactError:
        return False


def _write(path: Path, states: "Tensor", record: IndexRecord, first: int) -> None:
    import torch

    path.parent.mkdir(parents=True, exist_ok=True)
    facts = {
        FINGERPRINT: (record.fingerprint or "").encode(),
        FIRST: str(first).encode(),
        SEAL.encode(): BLANK_SEAL.encode(),
    }
    limit = torch.finfo(torch.float16).max
    numbers = states.clamp(-limit, limit).half().numpy()
    column = pa.FixedSizeListArray.from_arrays(pa.array(numbers.reshape(-1)), numbers.shape[1])
    table = pa.table({STATE: column}).replace_schema_metadata(facts)
    with replace_sealed(path) as partial:
        pq.write_table(table, partial, compression="none")


def _read(path: Path) -> np.ndarray:
    try:
        column = pq.read_table(path, memory_map=True)[STATE].combine_chunks()
        width = column.type.list_size
        return column.flatten().to_numpy().reshape(-1, width).astype(np.float32)
    except (pa.ArrowException, OSError, KeyError, ValueError, AttributeError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> DamagedArtefact:
    refuse_if_of_the_machine(error, path)
    return DamagedArtefact(
        f"the states of texts {str(path)!r} are damaged: delete the file and compute it again with `lorif map`."
    )
