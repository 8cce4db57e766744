"""The manifest of an index: what its files hold and what they were built from.

It is rewritten after every shard, so a build that was killed resumes behind the last shard
that it names. It holds no clock time: a resumed build ends with the same bytes.
"""

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from lorif_core.errors import ArtefactError
from lorif_core.files import read_json, write_json
from lorif_core.shapes import ModuleShape

FORMAT_VERSION = 1
MANIFEST = "manifest.json"

Layout = Literal["factors", "dense"]
Status = Literal["building", "gradients", "complete"]


@dataclass(frozen=True)
class Parents:
    """Fingerprints of what an index was built from."""

    dataset: str
    model: str
    tokenizer: str


@dataclass(frozen=True)
class ShardEntry:
    """One shard file: consecutive examples in store order."""

    file: str
    start: int
    """Store position of its first example."""

    num_examples: int
    size_bytes: int
    checksum: str
    """XXH3-128 of the file."""

    num_truncated: int
    """Examples that were cut at `max_length`."""

    num_without_targets: int
    """Examples with nothing to predict within `max_length`; their gradient is zero."""

    kept_energy: list[float]
    """Per module, summed squared norm of the stored rank-c form, before the codec."""

    total_energy: list[float]
    """Per module, summed squared norm of the projected gradients."""


@dataclass(frozen=True)
class FileEntry:
    """A file of the index and what it must contain."""

    file: str
    size_bytes: int
    checksum: str
    """XXH3-128 of the file."""


@dataclass(frozen=True)
class Manifest:
    """Everything needed to read an index and to know whether it may be used."""

    layout: Layout
    """``factors``: left and right factors per module; ``dense``: whole projected gradients."""

    codec: str
    factor_rank: int
    f: int
    seed: int
    max_length: int
    parents: Parents
    modules: list[ModuleShape]
    maps_digest: str
    num_examples: int
    shard_examples: int
    shards: list[ShardEntry]
    whitening: dict[str, Any] | None = None
    """Settings of the statistics behind half-whitening maps; None for random maps."""

    maps: FileEntry | None = None
    """Half-whitening maps; random maps are redrawn from the seed."""

    budget_bytes: int | None = None
    """Bytes per example that were to be spent; None where every module has the rank ``factor_rank``."""

    ranks: dict[str, int] | None = None
    """Factor rank per module, where a budget decided it; a module without any is not in ``modules``."""

    subspace_rank: int | None = None
    """r as asked for; a module with fewer dimensions keeps them all. None before the fit."""

    subspaces: list[FileEntry] = field(default_factory=list[FileEntry])
    """One file per module, in the order of ``modules``."""

    self_influences: list[FileEntry] = field(default_factory=list[FileEntry])
    """One file per shard: each example's score against itself under the index's own damping."""

    curvature: dict[str, Any] | None = None
    """The curvature settings that the preconditioner was fitted with."""

    damping: dict[str, float] = field(default_factory=dict[str, float])
    """Absolute damping per module that the index's settings gave."""

    status: Status = "building"

    @property
    def num_stored(self) -> int:
        """Examples in finished shards; a build resumes here."""
        return sum(shard.num_examples for shard in self.shards)

    @property
    def shard_bytes(self) -> int:
        """Bytes of all finished shards."""
        return sum(shard.size_bytes for shard in self.shards)

    def explained_energy(self) -> dict[str, float]:
        """Per module, share of the squared gradient norm that the rank-c form keeps."""
        shares: dict[str, float] = {}
        for position, module in enumerate(self.modules):
            total = sum(shard.total_energy[position] for shard in self.shards)
            kept = sum(shard.kept_energy[position] for shard in self.shards)
            shares[module.name] = kept / total if total > 0 else 1.0
        return shares

    def total_explained_energy(self) -> float:
        """Share of the squared gradient norm that the rank-c form keeps, over all modules."""
        total = sum(sum(shard.total_energy) for shard in self.shards)
        return sum(sum(shard.kept_energy) for shard in self.shards) / total if total > 0 else 1.0

    def with_shard(self, shard: ShardEntry) -> "Manifest":
        """The manifest after one more shard."""
        shards = [*self.shards, shard]
        done = self.num_stored + shard.num_examples == self.num_examples
        return replace(self, shards=shards, status="gradients" if done else "building")

    def as_complete(self, subspace_rank: int | None) -> "Manifest":
        """The manifest of an index whose preconditioner was fitted with that rank."""
        return replace(self, subspace_rank=subspace_rank, status="complete")

    def without_preconditioner(self) -> "Manifest":
        """The manifest before the fit, for another subspace rank or damping."""
        return replace(
            self, subspace_rank=None, curvature=None, subspaces=[], self_influences=[], damping={}, status="gradients"
        )

    @property
    def total_bytes(self) -> int:
        """Bytes of every file that the manifest names."""
        return sum(entry.size_bytes for entry in self.entries)

    @property
    def entries(self) -> list[ShardEntry | FileEntry]:
        """Every file that the manifest names."""
        maps = [] if self.maps is None else [self.maps]
        return [*maps, *self.shards, *self.subspaces, *self.self_influences]


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write a manifest atomically."""
    write_json(folder / MANIFEST, {"format": FORMAT_VERSION, **asdict(manifest)})


def read_manifest(folder: Path) -> Manifest:
    """Manifest of an index folder.

    Raises:
        ArtefactError: It is missing, unreadable or from a newer version.
    """
    raw = read_json(folder / MANIFEST)
    version = raw.pop("format", None)
    if version != FORMAT_VERSION:
        raise ArtefactError(
            f"{str(folder / MANIFEST)!r} has format {version}, this version of LoRIF Studio reads {FORMAT_VERSION}. "
            "Update LoRIF Studio, or build the index again."
        )
    try:
        values: dict[str, Any] = raw | {
            "parents": Parents(**raw["parents"]),
            "modules": [ModuleShape(**module) for module in raw["modules"]],
            "shards": [ShardEntry(**shard) for shard in raw["shards"]],
            "maps": FileEntry(**raw["maps"]) if raw.get("maps") else None,
            "subspaces": [FileEntry(**entry) for entry in raw["subspaces"]],
            "self_influences": [FileEntry(**entry) for entry in raw["self_influences"]],
        }
        return Manifest(**values)
    except (KeyError, TypeError) as error:
        raise ArtefactError(f"{str(folder / MANIFEST)!r} is incomplete ({error}): build the index again.") from error
