"""Fit what an index needs beside its parts: a preconditioner per module, and every text's score against itself."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from filelock import FileLock, Timeout

from lorif_core.errors import ArtefactError
from lorif_core.linalg.preconditioner import SubspacePreconditioner, precondition
from lorif_core.methods.protocol import Curvature
from lorif_core.passes.fitting import damping_of, fit_modules, self_influence
from lorif_core.shapes import ModuleShape
from lorif_core.store.json_files import Folder, place_at
from lorif_core.store.local_place import LocalPlace
from lorif_core.store.manifest import Manifest, compact, read_manifest, write_manifest
from lorif_core.store.parts import ShardEntry
from lorif_core.store.place import Place
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
    place = place_at(folder)
    place.sweep_partials()
    manifest = manifest.without_preconditioner()
    write_manifest(place, manifest)
    with _near(StoreReader(place), curvature) as reader:
        subspaces, damping = [], {}
        on_progress("curvature", 0, len(reader.modules))
        for position, subspace in enumerate(fit_modules(reader, curvature)):
            damping[reader.modules[position].name] = damping_of(subspace, curvature.fitted)
            subspaces.append(write_subspace(place, position, subspace))
            if reader.place is not place:
                write_subspace(reader.place, position, subspace)
            on_progress("curvature", position + 1, len(reader.modules))
        manifest = replace(manifest, curvature=asdict(curvature.fitted), subspaces=subspaces, damping=damping)
        manifest = manifest.as_complete(curvature.subspace_rank)
        return _store_self_influence(place, StoreReader(reader.place, manifest), on_progress)


@contextmanager
def _near(reader: StoreReader, curvature: Curvature) -> Iterator[StoreReader]:
    """The index as a fit reads it: module by module and several times over, where directions are kept.

    An object store is read whole every time, so of an index that lies in one the parts are brought to a temporary
    folder first, which takes as much room as they do.
    """
    if reader.place.reads_in_parts or curvature.subspace_rank == 0:
        yield reader
        return
    with TemporaryDirectory(prefix="lorif-fit-") as scratch:
        near = LocalPlace(Path(scratch) / reader.place.name)

        def bring(entry: ShardEntry) -> None:
            near.replace(entry.file, reader.place.content(entry.file, entry.checksum).numpy().tobytes())

        with ThreadPoolExecutor(reader.place.num_ahead) as pool:
            for _ in pool.map(bring, reader.manifest.shards):
                pass
        yield StoreReader(near, reader.manifest)


def _store_self_influence(place: Place, reader: StoreReader, on_progress: ProgressSink) -> Manifest:
    manifest, own = reader.manifest, dict[str, SubspacePreconditioner]()

    def preconditioner_of(module: ModuleShape) -> SubspacePreconditioner:
        if module.name in own:
            return own[module.name]
        found = precondition(reader.subspace(module), manifest.damping[module.name])
        if manifest.subspace_rank == 0:  # a number; bases of all modules may be more than memory holds
            own[module.name] = found
        return found

    entries = []
    for position, shard in enumerate(reader.iter_shards()):
        values = self_influence(shard, reader.modules, preconditioner_of)
        entries.append(write_self_influence(place, position, values))
        on_progress("self-influence", position + 1, len(manifest.shards))
    manifest = replace(manifest, self_influences=entries)
    write_manifest(place, manifest)
    return manifest
