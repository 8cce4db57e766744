"""Export the examples that people kept with the record of what they left out; replay and check an export.

Without ``out`` everything lies in ``WORKSPACE/exports/<export id>/``: the data, ``manifest.json``, ``recipe.json``,
``kept.jsonl`` and ``excluded.jsonl`` (``export_records``). With ``out`` the data are ``out`` itself and the rest is
beside it, in ``NAME.export-<export id>/``; a ``datasets`` folder holds the rest itself.
"""

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from lorif_core.catalog import DatasetRecord
from lorif_core.config import stored_import
from lorif_core.data.export_lines import has_lines
from lorif_core.data.export_losses import find_losses
from lorif_core.data.export_places import (
    MANIFEST_FILE,
    about_folder,
    publish_file,
    publish_folder,
    publish_unless_there,
    require_place,
    staging_beside,
)
from lorif_core.data.export_selection import Decisions, Selection
from lorif_core.data.exporting import (
    FILE_OF_FORMAT,
    DataFile,
    choose_format,
    write_data,
)
from lorif_core.data.importing import EXAMPLES_FILE, write_examples
from lorif_core.data.source_files import split_column_of
from lorif_core.data.table_sources import may_be_hub
from lorif_core.data.text_files import is_utf16
from lorif_core.errors import ArtefactError, DamagedArtefact, DataError, FingerprintMismatch
from lorif_core.export_config import ExportConfig
from lorif_core.files import checksum_of_file, fingerprint_of_value
from lorif_core.system_failures import what_failed
from lorif_core.workspace.curation.export_recipe import (
    RECIPE_FILE,
    Recipe,
    read_recipe,
    recipe_of,
)
from lorif_core.workspace.curation.export_records import (
    ExportPreview,
    ExportResult,
    Survey,
    decisions_of_lists,
    manifest_of,
    write_lists,
    write_readable,
)
from lorif_core.workspace.curation.export_verifying import verify_export
from lorif_core.workspace.curation.manifest_file import write_manifest
from lorif_core.workspace.folder.progress import ProgressSink, no_progress
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles

STAGE = "export"
EXPORTS_FOLDER = "exports"


class _Place(NamedTuple):
    """Where an export was put."""

    data: Path
    about: Path | None
    is_new: bool


def preview_export(
    files: WorkspaceFiles, dataset: DatasetRecord, states: pl.DataFrame, settings: ExportConfig
) -> ExportPreview:
    """What an export would hold; writes nothing.

    Raises:
        ConfigError: The settings name a column that does not fit the data.
        ArtefactError: The data set's file is missing or damaged.
    """
    selection = _selection(files, dataset, states, settings)
    survey = Survey()
    for judged in selection.iter_judged():
        survey.add(judged)
    source_files, _ = _lines_to_copy(dataset, replace(settings, format=choose_format(None, settings.format)))
    return _preview(survey, selection, dataset, copies_lines=bool(source_files))


def export_data(
    files: WorkspaceFiles,
    dataset: DatasetRecord,
    states: pl.DataFrame,
    out: Path | None,
    settings: ExportConfig,
    *,
    batches: Iterable[Mapping[str, Any]] = (),
    overwrites: bool = False,
    on_progress: ProgressSink = no_progress,
) -> ExportResult:
    """Write the kept examples of a data set with manifest, recipe and lists: all of it, or nothing.

    Args:
        files: The workspace.
        dataset: The data set.
        states: The present decision on each example that has one: train_id, status, reason, text, actor, at,
            query_id, batch_id, rule, has_conflict.
        out: The data file, or the folder of format hf. None: a folder of the workspace named by the export's id.
        settings: Format, what is left out, added columns.
        batches: Fields of the acts behind the decisions, newest first, for the manifest.
        overwrites: Whether an export at ``out`` may be replaced.
        on_progress: Receives ("export", kept examples written, kept examples).

    Raises:
        ConfigError: The settings contradict each other or the data.
        DataError: ``out`` cannot be written there.
        ArtefactError: The data set's file is missing or damaged, or a folder cannot be written.
        ResourceError: The disk is full.
    """
    started = time.perf_counter()
    settings = replace(settings, format=choose_format(out, settings.format))
    selection = _selection(files, dataset, states, settings)
    if out is not None:
        _require_outside(files, dataset, out)
        require_place(out, is_folder=settings.format == "hf", overwrites=overwrites)
    source_files, why_rewritten = _lines_to_copy(dataset, settings)
    with staging_beside(out or files.root / EXPORTS_FOLDER / "export") as staging:
        new = staging / "new"
        new.mkdir()
        survey = write_lists(new, selection)
        preview = _preview(survey, selection, dataset, copies_lines=bool(source_files))
        data = _write_data(new, selection, source_files, preview.num_kept, on_progress)
        counts = _counts(preview)
        recipe = recipe_of(dataset, selection, counts, data, new, copies_lines=bool(source_files))
        write_readable(new / RECIPE_FILE, recipe.to_dict())
        manifest = manifest_of(dataset, recipe, survey, preview, new)
        export_id = write_manifest(new / MANIFEST_FILE, manifest, batches)
        place = (
            _publish_in_workspace(files, recipe, new, export_id, staging, overwrites=overwrites)
            if out is None
            else _publish_at(out, recipe, new, export_id, staging)
        )
    result = _result(recipe, export_id, place, preview.num_unknown, why_rewritten, time.perf_counter() - started)
    return replace(result, losses=preview.losses, guarded=preview.guarded)


def _preview(survey: Survey, selection: Selection, dataset: DatasetRecord, *, copies_lines: bool) -> ExportPreview:
    losses = find_losses(selection, copies_lines=copies_lines)
    preview = survey.preview(selection, dataset.dataset_id)
    return replace(preview, losses=losses.sentences, guarded=losses.guarded)


def _selection(
    files: WorkspaceFiles, dataset: DatasetRecord, states: pl.DataFrame, settings: ExportConfig
) -> Selection:
    path = files.dataset_folder(dataset.dataset_id) / EXAMPLES_FILE
    selection = Selection(path, Decisions(states), settings, json.loads(dataset.settings_json).get("id"))
    if selection.table.fingerprint != dataset.fingerprint:
        raise FingerprintMismatch(
            f"{str(selection.path)!r} holds other examples than the catalog expects: the file was replaced. Restore "
            "it, or import the data again."
        )
    selection.require_free_names()
    return selection


def _require_outside(files: WorkspaceFiles, dataset: DatasetRecord, out: Path) -> None:
    place, root = out.resolve(), files.root.resolve()
    if root in (place, *place.parents) and root / EXPORTS_FOLDER not in place.parents:
        raise DataError(
            f"an export may not be written among the files of the workspace, got {str(out)!r}: choose another "
            "`--out`, or leave it out."
        )
    if place in [Path(name).resolve() for name in dataset.source_files]:
        raise DataError(
            f"an export may not replace a file that the data came from, got {str(out)!r}: choose another `--out`."
        )


def _why_read_otherwise(dataset: DatasetRecord) -> str | None:
    """Why the lines of JSONL files are not what was imported; None: they are."""
    reading = stored_import(json.loads(dataset.settings_json or "{}"))
    if reading.file_column is not None or split_column_of(reading) is not None:
        return "the import added columns"
    if reading.type:
        return "types were chosen for the import"
    others = [path for name in dataset.source_files if (path := Path(name)).is_file() and is_utf16(path)]
    return "the source files are not UTF-8" if reading.encoding is not None or others else None


def _lines_to_copy(dataset: DatasetRecord, settings: ExportConfig) -> tuple[list[Path], str | None]:
    """The source files whose lines can be copied; when there are none in spite of format jsonl, the cause."""
    paths = [Path(name) for name in dataset.source_files]
    if settings.format != "jsonl":
        return [], None
    if settings.with_decisions:
        return [], "columns were added"
    if not all(has_lines(path) for path in paths):
        return [], "the data came from files of another format"
    if (why := _why_read_otherwise(dataset)) is not None:
        return [], why
    if not paths or len(dataset.source_checksums) != len(paths):
        return [], "the checksums of the source files were not kept when they were imported"
    for path, checksum in zip(paths, dataset.source_checksums, strict=True):
        if not path.is_file():
            return [], f"{str(path)!r} is no longer there"
        try:
            if checksum_of_file(path) != checksum:
                return [], f"{str(path)!r} was changed since it was imported"
        except OSError as error:
            return [], f"{str(path)!r} cannot be read {what_failed(error)}"
    return paths, None


def _write_data(
    folder: Path, selection: Selection, source_files: Sequence[Path], num_kept: int, on_progress: ProgressSink
) -> list[DataFile]:
    before = [_stamp(path) for path in source_files]
    data = write_data(folder, selection, source_files, lambda done: on_progress(STAGE, done, num_kept))
    if before != [_stamp(path) for path in source_files]:
        raise DataError("a source file was changed while its lines were copied: run the same command again.")
    on_progress(STAGE, num_kept, num_kept)
    return data


def _stamp(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _counts(preview: ExportPreview) -> dict[str, int]:
    return {
        "input": preview.num_input,
        "kept": preview.num_kept,
        "excluded": preview.num_excluded,
        "flagged": preview.num_flagged,
    }


def _publish_in_workspace(
    files: WorkspaceFiles, recipe: Recipe, new: Path, export_id: str, staging: Path, *, overwrites: bool
) -> _Place:
    folder = files.root / EXPORTS_FOLDER / export_id
    is_new = not folder.exists() and publish_unless_there(new, folder)
    if not is_new:
        try:
            verify_export(folder)
        except ArtefactError as error:
            if not overwrites:
                raise DamagedArtefact(
                    f"this export is there already, damaged ({error}) Pass `--force` to write it again."
                ) from error
            publish_folder(new, folder, staging)
            is_new = True
    return _Place(folder / FILE_OF_FORMAT.get(recipe.file_format, ""), folder, is_new)


def _publish_at(out: Path, recipe: Recipe, new: Path, export_id: str, staging: Path) -> _Place:
    if recipe.file_format == "hf":
        publish_folder(new, out, staging)
        return _Place(out, out, True)
    publish_file(new / FILE_OF_FORMAT[recipe.file_format], out, new, export_id, staging)
    return _Place(out, about_folder(out, export_id), True)


def _result(
    recipe: Recipe, export_id: str, place: _Place, num_unknown: int, why_rewritten: str | None, elapsed_s: float
) -> ExportResult:
    return ExportResult(
        export_id=export_id,
        path=place.data,
        about=place.about,
        format=recipe.file_format,
        num_input=recipe.counts["input"],
        num_kept=recipe.counts["kept"],
        num_excluded=recipe.counts["excluded"],
        num_flagged=recipe.counts["flagged"],
        num_unknown=num_unknown,
        size_bytes=sum(file.size_bytes for file in recipe.data),
        checksum=_checksum_of(recipe.data),
        lines=recipe.lines,
        why_rewritten=why_rewritten,
        is_new=place.is_new,
        elapsed_s=elapsed_s,
    )


def _checksum_of(data: Sequence[DataFile]) -> str:
    return data[0].checksum if len(data) == 1 else fingerprint_of_value({file.name: file.checksum for file in data})


def replay_recipe(recipe: Path, inputs: Sequence[Path], out: Path, *, overwrites: bool = False) -> ExportResult:
    """Write the data of an export again, from the files that were once imported; needs no workspace.

    Args:
        recipe: The export's recipe.json, with the lists beside it that it names.
        inputs: The imported files, in any order.
        out: The data file, or the folder of format hf.
        overwrites: Whether something at ``out`` may be replaced.

    Raises:
        ArtefactError: The recipe cannot be used, or ``out`` cannot be written.
        FingerprintMismatch: An input is another one than the recipe's, or gives other data here.
        DataError: ``out`` cannot be written there.
        ResourceError: The disk is full.
    """
    started = time.perf_counter()
    plan = read_recipe(recipe)
    choose_format(out, plan.file_format)
    require_place(out, is_folder=plan.file_format == "hf", overwrites=overwrites)
    paths = _in_order(plan, inputs)
    if out.resolve() in [path.resolve() for path in (recipe, *paths)]:
        raise DataError(f"a replay may not replace what it reads, got {str(out)!r}: choose another `--out`.")
    decisions = _listed_decisions(plan, recipe.parent)
    with staging_beside(out) as staging:
        report = write_examples(paths, plan.reading, staging / "input")
        if report.fingerprint != plan.fingerprint:
            raise FingerprintMismatch(_other_data(plan, "read", report.fingerprint, plan.fingerprint))
        new = staging / "new"
        new.mkdir()
        selection = Selection(staging / "input" / EXAMPLES_FILE, decisions, plan.settings, plan.reading.id)
        data = write_data(new, selection, paths if plan.copies_lines else ())
        if data != plan.data:
            raise FingerprintMismatch(_other_data(plan, "wrote", _checksum_of(data), _checksum_of(plan.data)))
        if plan.file_format == "hf":
            publish_folder(new, out, staging)
        else:
            publish_file(new / data[0].name, out, None, "", staging)
    elapsed_s = time.perf_counter() - started
    return _result(plan, "", _Place(out, None, True), 0, None, elapsed_s)


def _in_order(plan: Recipe, inputs: Sequence[Path]) -> list[Path]:
    """The given files in the order of the import."""
    names = ", ".join(name for name, _ in plan.inputs)
    for path in inputs:
        if not path.exists() and (plan.reading.split is None or not may_be_hub(path)):
            raise DataError(f"{str(path)!r} does not exist: give the files that were imported ({names}).")
    if len(inputs) != len(plan.inputs):
        raise FingerprintMismatch(
            f"the recipe needs the {len(plan.inputs)} files that were imported ({names}), {len(inputs)} were given: "
            "name these."
        )
    if any(checksum is None for _, checksum in plan.inputs):
        return list(inputs)  # imported without checksums: the fingerprint of the examples decides
    path_of = {checksum_of_file(path): path for path in inputs if path.is_file()}
    for name, checksum in plan.inputs:
        if checksum not in path_of:
            raise FingerprintMismatch(
                f"the recipe needs {name!r} as it was imported (checksum {checksum}), none of the given files is: "
                "give the file of then."
            )
    return [path_of[checksum] for _, checksum in plan.inputs if checksum is not None]


def _listed_decisions(plan: Recipe, folder: Path) -> Decisions:
    for name, checksum in plan.lists.items():
        path = folder / name
        if not path.is_file():
            raise ArtefactError(f"{str(path)!r} is missing: a recipe needs the lists that were written beside it.")
        if checksum_of_file(path) != checksum:
            raise DamagedArtefact(f"{str(path)!r} was changed since it was written: the recipe needs it unchanged.")
    return decisions_of_lists(folder, list(plan.lists))


def _other_data(plan: Recipe, did: str, found: str, expected: str) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in plan.versions.items())
    return (
        f"a replay must give the data of the export, this one {did} others ({found[:8]}…, not {expected[:8]}…): "
        f"other versions of the program do that. The export was made with {versions}; replay it with these."
    )
