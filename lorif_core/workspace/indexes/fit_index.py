"""Fit what an index needs beside its parts: a preconditioner per module, and every text's score against itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from filelock import FileLock, Timeout

from lorif_core.errors import ArtefactError
from lorif_core.linalg.preconditioner import SubspacePreconditioner, precondition
from lorif_core.methods.protocol import Curvature
from lorif_core.passes.fitting import damping_of, fit_module, self_influence
from lorif_core.shapes import ModuleShape
from lorif_core.store.json_files import Folder, place_at
from lorif_core.store.manifest import Manifest, compact, read_manifest, write_manifest
from lorif_core.store.reader import StoreReader
from lorif_core.store.writer import write_self_influence, write_subspace
from lorif_core.workspace.folder.progress import ProgressSink
from lorif_core.workspace.indexes.failing_texts import check_failures


class BeingBuilt(ArtefactError):
    """Another process holds the index against all other builders."""


@contextmanager
def only_builder(folder: Path) -> Iterator[None]:
    """Hold an index against all other builders.

    Raises:
        BeingBuilt: Another process builds it.
    """
    try:
        with FileLock(folder / ".lock", timeout=0):
            yield
    except Timeout as error:
        raise BeingBuilt(
            f"index {folder.name!r} is being built by another process. Wait for it, or stop it; the build resumes."
        ) from error


def compact_checked(folder: Folder) -> Manifest:
    """The manifest of an index whose parts are all finished.

    Raises:
        CaptureError: More texts failed than may.
        ArtefactError: Parts are missing.
    """
    check_failures(read_manifest(folder))
    return compact(folder)


def has_curvature(manifest: Manifest, curvature: Curvature) -> bool:
    """Whether the fitted preconditioner is the one that the settings ask for."""
    if manifest.status != "complete" or manifest.subspace_rank != curvature.subspace_rank:
        return False
    asked, kept = asdict(curvature.fitted), manifest.curvature or {}
    return all(kept.get(name) == asked[name] for name in ("damping_rule", "damping_ratio", "damping"))


def fit_index(folder: Folder, manifest: Manifest, curvature: Curvature, on_progress: ProgressSink) -> Manifest:
    """Fit the preconditioner of an index whose parts are all finished; needs no model.

    Args:
        folder: Where the index lies.
        manifest: As it is; a preconditioner that it has is replaced.
        curvature: How to fit it.
        on_progress: Receives ("curvature", modules done, all), then ("self-influence", shards done, all).

    Raises:
        DamagedArtefact: A part is damaged.
    """
    place_at(folder).sweep_partials()
    manifest = manifest.without_preconditioner()
    write_manifest(folder, manifest)
    reader = StoreReader(folder)
    subspaces, damping = [], {}
    for position, module in enumerate(reader.modules):
        on_progress("curvature", position, len(reader.modules))
        subspace = fit_module(reader, curvature, module)
        damping[module.name] = damping_of(subspace, curvature.fitted)
        subspaces.append(write_subspace(folder, position, subspace))
    on_progress("curvature", len(reader.modules), len(reader.modules))
    manifest = replace(manifest, curvature=asdict(curvature.fitted), subspaces=subspaces, damping=damping)
    manifest = manifest.as_complete(curvature.subspace_rank)
    return _store_self_influence(folder, manifest, on_progress)


def _store_self_influence(folder: Folder, manifest: Manifest, on_progress: ProgressSink) -> Manifest:
    reader = StoreReader(folder, manifest)

    def preconditioner_of(module: ModuleShape) -> SubspacePreconditioner:
        return precondition(reader.subspace(module), manifest.damping[module.name])

    entries = []
    for position, shard in enumerate(reader.iter_shards()):
        values = self_influence(shard, reader.modules, preconditioner_of)
        entries.append(write_self_influence(folder, position, values))
        on_progress("self-influence", position + 1, len(manifest.shards))
    manifest = replace(manifest, self_influences=entries)
    write_manifest(folder, manifest)
    return manifest
