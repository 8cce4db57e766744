"""Do what a plan of repairs says. What is taken away is kept in ``.repaired/<time>/``, so it can be put back."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import unquote

from lorif_core.catalog import IndexRecord, utc_now
from lorif_core.corpus.version_changes import compare_versions
from lorif_core.errors import ArtefactError, LorifError
from lorif_core.files import flush_folder, write_json
from lorif_core.store.local_place import verify_file
from lorif_core.store.manifest import compact, fingerprint_of_manifest, plan_of_manifest, read_manifest
from lorif_core.store.parts import PartEntry, write_entry
from lorif_core.store.plan import fingerprint_of_plan, write_plan
from lorif_core.store.statistics import write_maps
from lorif_core.workspace.datasets.view import build_search
from lorif_core.workspace.folder.progress import ProgressSink, no_progress
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles
from lorif_core.workspace.health.examination import REPAIRED
from lorif_core.workspace.health.findings import Repair
from lorif_core.workspace.health.plan_repairs import Step
from lorif_core.workspace.indexes.fit_index import fit_index, only_builder
from lorif_core.workspace.indexes.method_of_index import method_of_index
from lorif_core.workspace.indexes.statistics_files import moments_behind
from lorif_core.workspace.indexes.take_statistics import reached_moments

RECORD = "repair.json"
"""What was done and why, beside what was set aside."""

AGAIN = "run the same `lorif index` command again"


@dataclass(frozen=True)
class Repaired:
    """What a repair did."""

    aside: str
    """Folder below the workspace with everything that was taken away."""

    done: list[str] = field(default_factory=list[str])
    """What was done, in sentences."""

    failed: list[str] = field(default_factory=list[str])
    """What could not be done, and why."""

    left: list[str] = field(default_factory=list[str])
    """What a person still has to do."""


class _Bench:
    """Where a repair works: the workspace, and the folder that takes what is taken away."""

    def __init__(self, files: WorkspaceFiles, on_progress: ProgressSink) -> None:
        self.files = files
        self.on_progress = on_progress
        self.aside = files.root / REPAIRED / f"{utc_now():%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:4]}"

    def set_aside(self, path: str) -> None:
        """Move a file or folder away; one that is not there is no matter."""
        source, to = self.files.root / path, self.aside / path
        if not source.exists():
            return
        to.parent.mkdir(parents=True, exist_ok=True)
        source.rename(to)
        flush_folder(source.parent)

    def index_record(self, index_id: str) -> IndexRecord:
        return self.files.catalog.index(index_id)


def apply_repairs(files: WorkspaceFiles, steps: Sequence[Step], on_progress: ProgressSink = no_progress) -> Repaired:
    """Do every step; one that fails does not stop the others.

    Args:
        files: The workspace.
        steps: From ``plan_repairs``.
        on_progress: As of the fit of an index.
    """
    bench = _Bench(files, on_progress)
    result = Repaired(bench.aside.relative_to(files.root).as_posix())
    for step in steps:
        try:
            said = _DO[step.repair](bench, step)
        except (LorifError, OSError) as error:
            result.failed.append(f"{step.does}: {error}")
            continue
        result.done.append(step.does)
        result.left.extend((*step.left, *said))
    if bench.aside.exists():
        write_json(bench.aside / RECORD, asdict(result))
    return result


def _set_aside(bench: _Bench, step: Step) -> Sequence[str]:
    for path in step.paths:
        bench.set_aside(path)
    return ()


def _search(bench: _Bench, step: Step) -> Sequence[str]:
    (path,) = step.paths
    bench.set_aside(path)
    build_search(bench.files, path.split("/")[1])
    return ()


def _changes(bench: _Bench, step: Step) -> Sequence[str]:
    (path,) = step.paths
    dataset = bench.files.catalog.dataset(path.split("/")[1])
    bench.set_aside(path)
    if dataset.parent_id is None:
        return ()
    old, new = (bench.files.examples_file(one) for one in (dataset.parent_id, dataset.dataset_id))
    compare_versions(old, new, bench.files.root / path)
    return ()


def _plan(bench: _Bench, step: Step) -> Sequence[str]:
    folder = _folder(bench, step)
    with only_builder(folder):
        _set_aside(bench, step)
        write_plan(folder, plan_of_manifest(read_manifest(folder)))
    return ()


def _entries(bench: _Bench, step: Step) -> Sequence[str]:
    folder = _folder(bench, step)
    with only_builder(folder):
        _set_aside(bench, step)
        if not (folder / "manifest.json").is_file():
            return ()
        manifest = read_manifest(folder)
        plan = fingerprint_of_plan(plan_of_manifest(manifest))
        for number in (int(Path(path).stem) for path in step.paths):
            write_entry(folder, number, PartEntry(plan, manifest.shards[number], origin=None))
    return ()


def _maps(bench: _Bench, step: Step) -> Sequence[str]:
    folder = _folder(bench, step)
    assert step.index_id is not None
    manifest, record = read_manifest(folder), bench.index_record(step.index_id)
    projection = method_of_index(record).projection
    modules = {module.name: module for module in manifest.modules}
    place = f"indexes/{step.index_id}"
    lost = [entry for entry in manifest.maps or [] if f"{place}/{entry.file}" in step.paths]
    names = [unquote(Path(entry.file).stem) for entry in lost]
    moments = {name: moments_behind(bench.files, manifest, modules[name]) for name in names}  # before anything moves
    with only_builder(folder):
        _set_aside(bench, step)
        for entry, name in zip(lost, names, strict=True):
            write_maps(folder, {name: projection.maps(modules[name], reached_moments(name, moments[name]))})
            verify_file(folder / entry.file, entry.checksum)
    return ()


def _parts(bench: _Bench, step: Step) -> Sequence[str]:
    with only_builder(_folder(bench, step)):
        return _set_aside(bench, step)


def _manifest(bench: _Bench, step: Step) -> Sequence[str]:
    folder = _folder(bench, step)
    with only_builder(folder):
        _set_aside(bench, step)
        try:
            compact(folder)
        except ArtefactError:
            return (f"{step.index_id}: {AGAIN}; it makes what is missing.",)
        return _refit(bench, step, folder)


def _fit(bench: _Bench, step: Step) -> Sequence[str]:
    folder = _folder(bench, step)
    with only_builder(folder):
        _set_aside(bench, step)
        return _refit(bench, step, folder)


def _refit(bench: _Bench, step: Step, folder: Path) -> Sequence[str]:
    assert step.index_id is not None
    record = bench.index_record(step.index_id)
    if record.status != "complete":
        return (f"{step.index_id}: {AGAIN}; it fits the curvature.",)
    manifest = fit_index(folder, read_manifest(folder), method_of_index(record).curvature, bench.on_progress)
    if record.fingerprint in (None, fingerprint_of_manifest(manifest)):
        return ()
    return (
        f"{step.index_id}: {AGAIN}, so that the catalog takes in the curvature, which differs from the lost one.",
    )


def _folder(bench: _Bench, step: Step) -> Path:
    assert step.index_id is not None
    return bench.files.index_folder(step.index_id)


_DO: Mapping[Repair, Callable[[_Bench, Step], Sequence[str]]] = {
    "set aside": _set_aside,
    "search": _search,
    "changes": _changes,
    "plan": _plan,
    "entry": _entries,
    "part": _parts,
    "manifest": _manifest,
    "fit": _fit,
    "maps": _maps,
}
