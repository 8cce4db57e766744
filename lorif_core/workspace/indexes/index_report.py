"""What an index is: settings, every byte it takes on disk, what its codes keep, the spectrum of its curvature."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from lorif_core.catalog import IndexRecord
from lorif_core.errors import CatalogError
from lorif_core.linalg.whitening import HEAD_ALPHA
from lorif_core.shapes import ModuleShape
from lorif_core.store.manifest import KeptEnergy, bookkeeping_bytes
from lorif_core.store.reader import StoreReader
from lorif_core.store.tensor_files import header_of
from lorif_core.views.index_figures import Spectrum
from lorif_core.workspace.folder.index_losses import LOSSES_FILE
from lorif_core.workspace.folder.index_members import MEMBERS, Members
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles
from lorif_core.workspace.indexes.coverage import Coverage, coverage_of
from lorif_core.workspace.indexes.linked_members import members_of, members_to_dict
from lorif_core.workspace.indexes.model_share import ModelShare, share_of_index
from lorif_core.workspace.indexes.statistics_files import moments_behind, statistics_behind, statistics_sentence

KIND_OF_TENSOR = {
    "left": "codes",
    "right": "codes",
    "dense": "codes",
    "left_scale": "scales",
    "right_scale": "scales",
    "dense_scale": "scales",
    "column": "columns",
    "norms": "numbers",
    "num_tokens": "numbers",
    "weights": "numbers",
}
"""By what stands before the slash in a shard's tensor names."""

WHAT = {
    "codes": "stored gradients, one code per number",
    "scales": "one per term; two in indexes of older versions",
    "columns": "which tokens the columns of the output head belong to",
    "numbers": "norm and length of each text, and its weight where the method has one",
    "self-influence": "score of each text against itself",
    "maps": "half-whitening maps, the same for all texts",
    "subspace": "leading directions of the curvature, the same for all texts",
    "headers": "names and shapes in front of the tensors",
    "manifest": "settings, checksums, energies, who made which part",
    "members": "which indexes the scores are sums over",
    "losses": "which models the losses are under, and questions that came with a table",
    "statistics": "second moments behind the maps; shared by indexes of the same model and data",
}


@dataclass(frozen=True)
class BytesOnDisk:
    """Bytes of one kind."""

    kind: str
    what: str
    """The kind in words."""

    size_bytes: int
    per_example: float
    """Divided by the examples of the data set."""


@dataclass(frozen=True)
class IndexReport:
    """One index in numbers."""

    record: IndexRecord
    settings: dict[str, Any]
    """As the build was asked, one level of nesting."""

    status: str
    """building, gradients or complete: what the files hold."""

    num_stored: int
    """Examples with stored gradients."""

    parts: list[BytesOnDisk]
    """Every kind that is there, in the order of ``WHAT``; the statistics come last and lie outside the index."""

    explained_energy: dict[str, float]
    """Per module, share of the squared gradient norm that is kept: as stored where ``kept_energy`` knows that, and
    below 0 where what is stored is further from the gradients than zero is; else before rounding."""

    kept_energy: KeptEnergy
    """Of all modules together."""

    ranks: dict[str, int] | None
    """Rank-one terms per module that a budget bought; None without a budget."""

    coverage: Coverage
    """What of the data set's texts the gradients are of."""

    model_share: ModelShare | None = None
    """Which share of the model it sees, and what a trial left out; None where an older version kept nothing."""

    statistics: str | None = None
    """How many tokens the statistics behind half-whitening maps hold, in words; None where there are none."""

    members: Members | None = None
    """What its scores are sums over; None: it is alone. Their bytes are their own indexes'."""

    @property
    def total_bytes(self) -> int:
        """Everything, statistics included."""
        return sum(part.size_bytes for part in self.parts)

    @property
    def index_bytes(self) -> int:
        """The index's own folder."""
        return sum(part.size_bytes for part in self.parts if part.kind != "statistics")

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-serialisable values."""
        values: dict[str, Any] = asdict(self) | {"total_bytes": self.total_bytes, "index_bytes": self.index_bytes}
        values["coverage"] = self.coverage.to_dict()
        values["kept_energy"] = self.kept_energy._asdict()
        values["members"] = members_to_dict(self.members)
        if self.model_share is not None:
            values["model_share"] |= {"share": self.model_share.share, "sentence": self.model_share.sentence}
        return values


def report_index(files: WorkspaceFiles, index_id: str | None) -> IndexReport:
    """The report on an index, complete or not; reads headers, no tensor.

    Args:
        files: The workspace.
        index_id: None: the newest complete one.

    Raises:
        CatalogError: There is no such index.
        ArtefactError: Its build has written nothing yet, or a file is missing.
    """
    record = files.choose_index(index_id)
    reader = files.open_index(record.index_id)
    manifest = reader.manifest
    sizes = dict.fromkeys(WHAT, 0)
    for kind, size in _sizes(files, record.index_id, reader):
        sizes[kind] += size
    parts = [
        BytesOnDisk(kind, WHAT[kind], size, size / max(manifest.num_examples, 1))
        for kind, size in sizes.items()
        if size
    ]
    return IndexReport(
        record=record,
        settings=json.loads(record.settings_json),
        status=manifest.status,
        num_stored=manifest.num_stored,
        parts=parts,
        explained_energy=manifest.explained_energy() if manifest.shards else {},
        kept_energy=manifest.kept_energy(),
        ranks=manifest.ranks,
        coverage=coverage_of(manifest),
        model_share=share_of_index(files, record),
        members=members_of(files, record),
        statistics=None if manifest.whitening is None else statistics_sentence(files, manifest),
    )


def _sizes(files: WorkspaceFiles, index_id: str, reader: StoreReader) -> Iterator[tuple[str, int]]:
    manifest = reader.manifest
    for shard in manifest.shards:
        header = header_of(
            partial(reader.place.read_range, shard.file), shard.size_bytes, reader.place.told(shard.file)
        )
        sizes = [(name, place.size_bytes) for name, place in header.items()]
        for name, size in sizes:
            yield KIND_OF_TENSOR[name.partition("/")[0]], size
        yield "headers", shard.size_bytes - sum(size for _, size in sizes)
    for entry in manifest.subspaces:
        yield "subspace", entry.size_bytes
    for entry in manifest.self_influences:
        yield "self-influence", entry.size_bytes
    for entry in manifest.maps or []:
        yield "maps", entry.size_bytes
    yield "manifest", bookkeeping_bytes(reader.place)
    if (named := files.index_folder(index_id) / MEMBERS).is_file():
        yield "members", named.stat().st_size
    if (known := files.index_folder(index_id) / LOSSES_FILE).is_file():
        yield "losses", known.stat().st_size
    if manifest.whitening is not None:
        for path in statistics_behind(files, manifest):
            yield "statistics", path.stat().st_size


def spectra_of(files: WorkspaceFiles, index_id: str | None, module_name: str) -> list[Spectrum]:
    """Spectrum of a module's curvature: of its gradients' Gram matrix, or of both second moments behind its maps.

    Args:
        files: The workspace.
        index_id: None: the newest complete one.
        module_name: One of the index's modules.

    Raises:
        CatalogError: There is no such module.
        ArtefactError: The index is not complete, or its statistics are gone.
    """
    record = files.choose_index(index_id)
    reader = files.open_index(record.index_id)
    module = next((module for module in reader.modules if module.name == module_name), None)
    if module is None:
        names = [module.name for module in reader.modules[:3]]
        raise CatalogError(f"index {record.index_id!r} has no module {module_name!r}. Names look like {names}.")
    if reader.manifest.whitening is None:
        return _of_subspace(reader, module)
    return _of_moments(files, reader, module)


def _of_subspace(reader: StoreReader, module: ModuleShape) -> list[Spectrum]:
    subspace = reader.subspace(module)
    if not subspace.rank:
        return []
    values = sorted(subspace.spectrum.tolist(), reverse=True)
    return [Spectrum("gradients", values, reader.manifest.damping[module.name], module.dim)]


def _of_moments(files: WorkspaceFiles, reader: StoreReader, module: ModuleShape) -> list[Spectrum]:
    manifest = reader.manifest
    moments = moments_behind(files, manifest, module)[module.name]
    alpha = (manifest.whitening or {})["alpha"]
    outputs = moments.output_grads.double() / max(moments.num_tokens, 1)
    return [
        _spectrum("layer inputs", moments.inputs.double() / max(moments.num_inputs, 1), alpha),
        _spectrum("output gradients", outputs, alpha if outputs.ndim == 2 else HEAD_ALPHA),
    ]


def _spectrum(what: str, moment: Tensor, alpha: float) -> Spectrum:
    """Of a matrix, or of a diagonal alone."""
    is_diagonal = moment.ndim == 1
    values = moment.sort().values if is_diagonal else torch.linalg.eigvalsh(moment)
    mean = float((moment if is_diagonal else moment.diagonal()).mean())
    return Spectrum(what, values.clamp_min(0).flip(0).tolist(), alpha * mean, len(moment))
