"""Read an index: its shards one after the other, or several at once.

Shards of a folder are memory-mapped, so a pass over one module touches only that module's bytes. The first time this
process meets a shard its checksum is compared with the manifest's, and the same read brings the bytes into memory;
where shards go one after the other, a thread does so one shard ahead. Shards of an object store are read whole and
compared every time, a few of them ahead; memory holds those, and those that are worked on.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

import torch
from torch import Tensor

from lorif_core.errors import ArtefactError
from lorif_core.linalg.codecs import ColumnCodec
from lorif_core.linalg.maps import ModuleMaps
from lorif_core.linalg.subspace import Subspace
from lorif_core.shapes import ModuleShape
from lorif_core.store.blocks import (
    Block,
    Buffers,
    CodedColumns,
    CodedFactors,
    decode_block,
    subspace_from_tensors,
    tensor_names,
)
from lorif_core.store.cores import in_order, num_cores
from lorif_core.store.json_files import Folder, place_at
from lorif_core.store.local_place import missing
from lorif_core.store.manifest import Manifest, read_manifest
from lorif_core.store.parts import ShardEntry
from lorif_core.store.plan import FileEntry
from lorif_core.store.statistics import maps_from_tensors
from lorif_core.store.tensor_files import TensorFile, TensorRows

Result = TypeVar("Result")

MOST_WORKERS = 8
"""Shards worked on at once; more would wait for Python's lock."""

WORKING_BYTES = 2 << 30
"""What the workers may have in memory together as numbers: of each shard one module's gradients and products."""

ALL_ROWS = slice(None)
"""Every example of a shard."""


@dataclass(frozen=True)
class Shard:
    """An open, verified shard, or a run of its examples; tensors are read when asked for."""

    number: int
    """Position among the index's shards."""

    manifest: Manifest
    file: TensorRows
    rows: range
    """Which of the file's."""

    @property
    def start(self) -> int:
        """Store position of the first example."""
        return self.manifest.shards[self.number].start + self.rows.start

    @property
    def num_examples(self) -> int:
        """How many examples it holds."""
        return len(self.rows)

    def part(self, rows: slice) -> "Shard":
        """Some consecutive examples of these."""
        return replace(self, rows=self.rows[rows])

    def block(self, module: ModuleShape) -> Block:
        """Stored gradients of one module, float32."""
        return decode_block(self._coded(module), module, self._codec, self.manifest.layout)

    def factors(self, module: ModuleShape, buffers: Buffers) -> CodedFactors | None:
        """Stored factors of one module, which are decoded to the buffers; None where gradients are stored whole."""
        if self.manifest.layout != "factors" or module.form != "factors":
            return None
        return CodedFactors(self._coded(module), module, self._codec, buffers)

    def columns(self, module: ModuleShape) -> CodedColumns:
        """Stored columns of one module that is stored so."""
        return CodedColumns(self._coded(module), module, self._codec)

    def norms(self) -> Tensor:
        """Gradient norm of each example as stored, over all modules, (n,)."""
        return self.tensor("norms")

    def num_tokens(self) -> Tensor:
        """Length of each example before truncation, (n,)."""
        return self.tensor("num_tokens")

    def weights(self) -> Tensor | None:
        """What each example's scores are multiplied by, (n,); None where the method weighs none."""
        return None if self.manifest.objective is None else self.tensor("weights")

    def tensor(self, name: str) -> Tensor:
        """These examples' rows of one tensor by its name in the file."""
        return self.file.rows(name, self.rows)

    @property
    def _codec(self) -> ColumnCodec:
        return self.manifest.column_codec

    def _coded(self, module: ModuleShape) -> dict[str, Tensor]:
        names = tensor_names(module, self._codec, self.manifest.layout)
        return {name: self.tensor(name) for name in names}


class StoreReader:
    """An index opened for reading."""

    def __init__(self, folder: Folder, manifest: Manifest | None = None) -> None:
        self.place = place_at(folder)
        self.manifest = manifest or read_manifest(self.place)

    @property
    def modules(self) -> list[ModuleShape]:
        """The tracked modules, in the model's order."""
        return self.manifest.modules

    @cached_property
    def num_train_tokens(self) -> int:
        """Tokens of all examples as they were differentiated: after truncation, in each window that they stand in."""
        counted = [shard.num_positions for shard in self.manifest.shards]
        if None not in counted:
            return sum(count or 0 for count in counted)
        longest = self.manifest.max_length
        return sum(int(shard.num_tokens().clamp_max(longest).sum()) for shard in self.iter_shards())

    def iter_shards(self, numbers: Sequence[int] | None = None) -> Iterator[Shard]:
        """Every shard in store order, or some in the order of their numbers.

        Raises:
            DamagedArtefact: A shard's bytes differ from its checksum; names the file.
        """
        chosen = range(len(self.manifest.shards)) if numbers is None else numbers
        num_ahead = self.place.num_ahead
        with ThreadPoolExecutor(num_ahead, thread_name_prefix="read-ahead") as ahead:
            fetched = deque(ahead.submit(self.shard, number) for number in chosen[:num_ahead])
            try:
                for behind in range(num_ahead, num_ahead + len(chosen)):
                    shard = fetched.popleft().result()
                    if behind < len(chosen):
                        fetched.append(ahead.submit(self.shard, chosen[behind]))
                    yield shard
            finally:
                for one in fetched:
                    one.cancel()

    def map_shards(
        self,
        work: Callable[[Shard], Result],
        numbers: Sequence[int] | None = None,
        rows_at_once: int | None = None,
    ) -> Iterator[Result]:
        """What ``work`` gives for every shard, in store order; or for some, in the order of their numbers. Shards of
        more examples than are worked on at once come in pieces.

        Several shards are worked on at once, and torch's threads are divided among them: many small operations that
        are each spread over all threads wait for one another longer than they compute (docs/decisions/0019).

        Raises:
            DamagedArtefact: A shard's bytes differ from its checksum; names the file.
        """
        entries = self.manifest.shards
        chosen = range(len(entries)) if numbers is None else numbers
        largest = max((entry.num_examples for entry in entries), default=1)
        step = min(largest, rows_at_once or largest)
        pieces = [
            (number, slice(start, start + step))
            for number in chosen
            for start in range(0, entries[number].num_examples, step)
        ]
        num_workers = min(num_cores(), MOST_WORKERS, len(pieces), WORKING_BYTES // max(self._bytes_per_worker(), 1))
        if num_workers <= 1:
            return map(work, self._in_pieces(chosen, step))
        if self.place.num_ahead > 1:  # waiting for a network takes no core
            return in_order(work, self._in_pieces(chosen, step), num_workers)
        return in_order(lambda piece: work(self.shard(*piece)), pieces, num_workers)

    def _in_pieces(self, numbers: Sequence[int], step: int) -> Iterator[Shard]:
        """Some shards one after the other, each read once, in pieces of so many examples."""
        for shard in self.iter_shards(numbers):
            for start in range(0, shard.num_examples, step):
                yield shard if step >= shard.num_examples else shard.part(slice(start, start + step))

    def _bytes_per_worker(self) -> int:
        """Most bytes of one module of a shard as numbers: both sides and their product, or whole gradients."""
        manifest = self.manifest
        ranks = manifest.ranks or {}

        def numbers(module: ModuleShape) -> int:
            if manifest.layout == "dense":
                return module.dim
            rank = min(ranks.get(module.name, manifest.factor_rank), module.d_in, module.d_out)
            return rank * (module.d_in + 2 * (module.d_in if module.form == "columns" else module.d_out))

        num_examples = max((entry.num_examples for entry in manifest.shards), default=0)
        return torch.float32.itemsize * num_examples * max(map(numbers, manifest.modules), default=0)

    def at(self, position: int) -> Shard:
        """The one example at a store position.

        Raises:
            DamagedArtefact: The bytes of its shard differ from their checksum.
        """
        shards = self.manifest.shards
        number = next(n for n, one in enumerate(shards) if one.start <= position < one.start + one.num_examples)
        row = position - shards[number].start
        return self.shard(number, slice(row, row + 1))

    def shard(self, number: int, rows: slice = ALL_ROWS) -> Shard:
        """A shard, or some of its examples.

        Raises:
            DamagedArtefact: Its bytes differ from its checksum.
        """
        entry = self.manifest.shards[number]
        return Shard(number, self.manifest, self._file(entry), range(entry.num_examples)[rows])

    def maps(self) -> dict[str, ModuleMaps] | None:
        """The index's half-whitening maps, or None when its maps are random and redrawn."""
        if self.manifest.maps is None:
            return None
        tensors: dict[str, Tensor] = {}
        with ThreadPoolExecutor(self.place.num_ahead, thread_name_prefix="maps") as pool:
            for found in pool.map(self._tensors, self.manifest.maps):
                tensors |= found
        return maps_from_tensors(tensors, [module.name for module in self.modules])

    def subspace(self, module: ModuleShape) -> Subspace:
        """Leading subspace of one module.

        Raises:
            ArtefactError: The index is not complete.
        """
        self.require_complete()
        return subspace_from_tensors(self._tensors(self.manifest.subspaces[self.modules.index(module)]))

    def self_influence(self, shard: Shard) -> Tensor:
        """Self-influence of each example of a shard under the index's own damping, (n,)."""
        self.require_complete()
        own = self._tensors(self.manifest.self_influences[shard.number])["self_influence"]
        return own[shard.rows.start : shard.rows.stop]

    def require_complete(self) -> None:
        """Refuse an index whose build was interrupted."""
        if self.manifest.status != "complete":
            raise ArtefactError(
                f"index {self.place.name!r} is not complete, its build was interrupted after "
                f"{self.manifest.num_stored} of {self.manifest.num_examples} examples. Run the same `lorif index` "
                "command again; it resumes."
            )

    def _tensors(self, entry: FileEntry) -> dict[str, Tensor]:
        return self._file(entry).whole()

    def _file(self, entry: ShardEntry | FileEntry) -> TensorFile:
        try:
            content = self.place.content(entry.file, entry.checksum)
        except FileNotFoundError as error:
            raise missing(self.place.told(entry.file)) from error
        return TensorFile(self.place.told(entry.file), content, self.place.mapped_from(entry.file))
