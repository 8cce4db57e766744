"""Read an index: shards in store order, verified once, the next one fetched meanwhile.

Shards are memory-mapped, so a pass over one module touches only that module's bytes. The
first time this process meets a shard its checksum is compared with the manifest's, on a
thread that runs one shard ahead; the same read brings the bytes into memory.
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from lorif_core.errors import ArtefactError, DamagedArtefact
from lorif_core.files import checksum_of_file
from lorif_core.linalg.codecs import column_codec
from lorif_core.linalg.maps import ModuleMaps
from lorif_core.linalg.signs import SignFactors
from lorif_core.linalg.subspace import Subspace
from lorif_core.shapes import ModuleShape
from lorif_core.store.blocks import Block, decode_block, sign_factors, subspace_from_tensors, tensor_names
from lorif_core.store.manifest import FileEntry, Manifest, ShardEntry, read_manifest
from lorif_core.store.statistics import maps_from_tensors


class Shard:
    """An open, verified shard; tensors are read when asked for."""

    def __init__(self, path: Path, entry: ShardEntry, manifest: Manifest) -> None:
        self.entry = entry
        self._manifest = manifest
        self._codec = column_codec(manifest.codec)
        try:
            self._file = safe_open(path, "pt", device="cpu")
        except (SafetensorError, OSError) as error:
            raise DamagedArtefact(f"{str(path)!r} cannot be read ({error}). {_REMEDY}") from error

    @property
    def start(self) -> int:
        """Store position of the first example."""
        return self.entry.start

    @property
    def num_examples(self) -> int:
        """How many examples it holds."""
        return self.entry.num_examples

    def block(self, module: ModuleShape) -> Block:
        """Stored gradients of one module, float32."""
        return decode_block(self._coded(module), module, self._codec, self._manifest.layout)

    def signs(self, module: ModuleShape) -> SignFactors | None:
        """Packed signs of one module's factors; None where the index stores something else."""
        if self._manifest.layout != "factors" or self._codec.name != "sign":
            return None
        return sign_factors(self._coded(module), module.name)

    def _coded(self, module: ModuleShape) -> dict[str, Tensor]:
        names = tensor_names(module.name, self._codec, self._manifest.layout)
        return {name: self.tensor(name) for name in names}

    def norms(self) -> Tensor:
        """Gradient norm of each example as stored, over all modules, (n,)."""
        return self.tensor("norms")

    def num_tokens(self) -> Tensor:
        """Length of each example before truncation, (n,)."""
        return self.tensor("num_tokens")

    def tensor(self, name: str) -> Tensor:
        """One tensor by its name in the file."""
        return self._file.get_tensor(name)


_REMEDY = (
    "Run `lorif doctor WORKSPACE` to see every damaged file; delete the index folder and run `lorif index` again."
)


class StoreReader:
    """An index folder opened for reading."""

    def __init__(self, folder: Path, manifest: Manifest | None = None) -> None:
        self.folder = folder
        self.manifest = manifest or read_manifest(folder)
        self._verified: set[str] = set()

    @property
    def modules(self) -> list[ModuleShape]:
        """The tracked modules, in the model's order."""
        return self.manifest.modules

    @cached_property
    def num_train_tokens(self) -> int:
        """Tokens of all examples as they were differentiated, after truncation."""
        longest = self.manifest.max_length
        return sum(int(shard.num_tokens().clamp_max(longest).sum()) for shard in self.iter_shards())

    def iter_shards(self) -> Iterator[Shard]:
        """Every shard in store order.

        Raises:
            DamagedArtefact: A shard's bytes differ from its checksum; names the file.
        """
        entries = self.manifest.shards
        with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as ahead:
            fetched: Future[None] | None = ahead.submit(self.verify, entries[0]) if entries else None
            for position, entry in enumerate(entries):
                assert fetched is not None
                fetched.result()
                if position + 1 < len(entries):
                    fetched = ahead.submit(self.verify, entries[position + 1])
                yield Shard(self.folder / entry.file, entry, self.manifest)

    def shard_of(self, position: int) -> tuple[Shard, int]:
        """The shard that holds a store position, and the row within it.

        Raises:
            DamagedArtefact: The shard's bytes differ from its checksum.
        """
        entry = next(one for one in self.manifest.shards if one.start <= position < one.start + one.num_examples)
        self.verify(entry)
        return Shard(self.folder / entry.file, entry, self.manifest), position - entry.start

    def verify(self, entry: ShardEntry | FileEntry) -> None:
        """Compare a file with its checksum, once per process.

        Raises:
            DamagedArtefact: The bytes differ.
            ArtefactError: The file is missing.
        """
        if entry.file not in self._verified:
            verify_file(self.folder / entry.file, entry.checksum)
            self._verified.add(entry.file)

    def maps(self) -> dict[str, ModuleMaps] | None:
        """The index's half-whitening maps, or None when its maps are random and redrawn."""
        if self.manifest.maps is None:
            return None
        return maps_from_tensors(self._tensors(self.manifest.maps), [module.name for module in self.modules])

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
        position = self.manifest.shards.index(shard.entry)
        return self._tensors(self.manifest.self_influences[position])["self_influence"]

    def require_complete(self) -> None:
        """Refuse an index whose build was interrupted."""
        if self.manifest.status != "complete":
            raise ArtefactError(
                f"index {self.folder.name!r} is not complete, its build was interrupted after "
                f"{self.manifest.num_stored} of {self.manifest.num_examples} examples. Run the same `lorif index` "
                "command again; it resumes."
            )

    def _tensors(self, entry: FileEntry) -> dict[str, Tensor]:
        self.verify(entry)
        return load_file(self.folder / entry.file)


def verify_file(path: Path, checksum: str) -> None:
    """Compare a file with its recorded checksum.

    Raises:
        DamagedArtefact: The bytes differ.
        ArtefactError: The file is missing.
    """
    try:
        found = checksum_of_file(path)
    except FileNotFoundError as error:
        raise ArtefactError(f"{str(path)!r} is missing. {_REMEDY}") from error
    if found != checksum:
        raise DamagedArtefact(
            f"{str(path)!r} is damaged: its checksum is {found[:8]}…, recorded was {checksum[:8]}…. {_REMEDY}"
        )
