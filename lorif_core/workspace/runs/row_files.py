"""What a run has written so far: rows of texts in the order in which they were trained on, a file for some batches.

    run.json                               what the run is: data set, settings, modules
    maps/<module>.safetensors              half-whitening maps, once they are made
    member-MM.json                         a member that has ended, and where its model lies
    rows/MM-RRR-NNNNN.safetensors          rows: member, process, number; tensors as in a shard, and
        position    int32 (n,): the text's place in the data set
        step        int32 (n,): batches that the process had trained on; the later one of a text counts
        energy      float32 (n, modules, 3): what is kept of its gradients

A file is created whole under its name or not at all; a kill loses the batches since the last one.
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

from lorif_core.errors import DamagedArtefact
from lorif_core.store.local_place import LocalPlace
from lorif_core.store.tensor_files import TensorFile
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles

RUN, ROWS = "run.json", "rows"
POSITION, STEP = "position", "step"

FILE_BYTES = 8 << 20
"""Rows of about so many bytes are written as one file."""

Rows = dict[str, Tensor]


def run_folder(files: WorkspaceFiles, name: str) -> Path:
    """Folder of a run."""
    return files.root / "runs" / name


class RowWriter:
    """Writes the rows of one process, in a thread of its own."""

    def __init__(self, place: LocalPlace, rank: int) -> None:
        self._place, self._rank = place, rank
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="run-rows")
        self._waiting: list[Rows] = []
        self._size_bytes = 0
        self._written: Future[None] | None = None

    def add(self, member: int, rows: Rows) -> None:
        """Take in the rows of a batch that has ended."""
        self._waiting.append(rows)
        self._size_bytes += sum(tensor.nbytes for tensor in rows.values())
        if self._size_bytes >= FILE_BYTES:
            self.flush(member)

    def flush(self, member: int) -> None:
        """Write what waits; returns while it is being written.

        Raises:
            ResourceError: The disk was full when the file before was written.
        """
        self.wait()
        if self._waiting:
            rows, self._waiting, self._size_bytes = self._waiting, [], 0
            self._written = self._pool.submit(self._write, member, rows)

    def wait(self) -> None:
        """Wait until everything that was flushed is on the disk."""
        written, self._written = self._written, None
        if written is not None:
            written.result()

    def close(self) -> None:
        """Wait, and let the thread go; rows that were not flushed are lost."""
        self._pool.shutdown()

    def _write(self, member: int, batches: list[Rows]) -> None:
        rows = {name: torch.cat([one[name] for one in batches]) for name in batches[0]}
        content, number = save(rows), len(self._place.listed(ROWS))
        first = f"{ROWS}/{member:02d}-{self._rank:03d}"
        while self._place.create(f"{first}-{number:05d}.safetensors", content) != content:
            number += 1


@dataclass
class StoredRows:
    """Where the rows of one member lie, the later of those of one text."""

    place: LocalPlace
    names: list[str]
    """Of its files."""

    file: np.ndarray
    """Of each example of the data set, the number of the file that has its row, (N,) int32; -1: none has."""

    row: np.ndarray
    """Its row there, (N,) int32."""

    _open: dict[int, TensorFile] = field(default_factory=dict[int, TensorFile])

    @property
    def missing(self) -> list[int]:
        """Places in the data set of texts without a row."""
        return np.flatnonzero(self.file < 0).tolist()

    def rows_of(self, positions: range) -> Rows:
        """The rows of consecutive texts, all of which there are; in their order."""
        files, rows = self.file[positions.start : positions.stop], self.row[positions.start : positions.stop]
        found: Rows = {}
        for number in np.unique(files).tolist():
            there = np.flatnonzero(files == number)
            for name, tensor in self._file(number).whole().items():
                if name in (POSITION, STEP):
                    continue
                into = found.setdefault(name, tensor.new_zeros(len(positions), *tensor.shape[1:]))
                into[torch.from_numpy(there)] = tensor[torch.from_numpy(rows[there].astype(np.int64))]
        return found

    def _file(self, number: int) -> TensorFile:
        if number not in self._open:
            path = self.place.folder / self.names[number]
            content = torch.from_file(str(path), shared=False, size=path.stat().st_size, dtype=torch.uint8)
            self._open[number] = TensorFile(str(path), content, path)
        return self._open[number]


def stored_rows(place: LocalPlace, member: int, num_examples: int) -> StoredRows:
    """The rows of one member that are on the disk.

    Raises:
        DamagedArtefact: A file cannot be read.
    """
    names = [name for name in place.listed(ROWS) if Path(name).name.startswith(f"{member:02d}-")]
    file, row = np.full(num_examples, -1, np.int32), np.zeros(num_examples, np.int32)
    latest = np.full(num_examples, -1, np.int32)
    for number, (positions, steps) in enumerate(_places(place, names)):
        later = np.flatnonzero(steps >= latest[positions])  # steps ascend: of one text the last row stays
        latest[positions[later]], file[positions[later]], row[positions[later]] = steps[later], number, later
    return StoredRows(place, names, file, row)


def last_step(place: LocalPlace) -> int:
    """Batches that any process had trained on when it wrote last; -1: none."""
    found = (int(steps.max()) for _, steps in _places(place, list(place.listed(ROWS))) if len(steps))
    return max(found, default=-1)


def num_members(place: LocalPlace) -> int:
    """Members of which rows are there."""
    return 1 + max((int(Path(name).name[:2]) for name in place.listed(ROWS)), default=-1)


def _places(place: LocalPlace, names: list[str]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for name in names:
        path = place.folder / name
        try:
            content = torch.from_file(str(path), shared=False, size=path.stat().st_size, dtype=torch.uint8)
            found = TensorFile(str(path), content, path).whole()
        except (OSError, RuntimeError) as error:
            raise DamagedArtefact(
                f"{str(path)!r} cannot be read ({error}): delete it; its batches are lost."
            ) from error
        yield found[POSITION].numpy(), found[STEP].numpy()
