"""Frozen versions of curated data: named exports that never change, each after the one that it names as parent.

What people decide at present is the *draft*. Freezing exports it into ``exports/<export id>/``, takes away the
permission to write to its files, and names it by ``exports/versions/<name>.json``, which is made once and never
replaced. The draft then goes on after that version. A copy of that file lies with the export, in its folder
``frozen``: by it is known that a version was there whose own file is gone.
"""

import json
import os
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from lorif_core.catalog import DatasetRecord, utc_now
from lorif_core.data.export_selection import Decisions, Selection
from lorif_core.data.exporting import FILE_OF_FORMAT
from lorif_core.errors import ArtefactError, ConfigError, DamagedArtefact, DataError, RoleError
from lorif_core.export_config import ExportConfig
from lorif_core.files import fingerprint_of_value, flush_folder, put_if_absent, read_json
from lorif_core.workspace.curation.export import EXPORTS_FOLDER, export_data
from lorif_core.workspace.curation.export_recipe import KEPT_FILE
from lorif_core.workspace.curation.export_records import ExportResult, iter_entries, read_manifest
from lorif_core.workspace.curation.export_verifying import check_files
from lorif_core.workspace.folder.progress import ProgressSink, no_progress
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles

FORMAT_VERSION = 1
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
READ_ONLY = 0o444

LENGTH = "length"
"""Not a column: characters of the text, in powers of two."""

COPIES = "frozen"
"""Folder of an export with copies of the files that name it."""

SHORTEST = 32
"""Shorter texts are one group."""


@dataclass(frozen=True, kw_only=True)
class FrozenVersion:
    """An export that has a name and a parent, and never changes."""

    name: str
    parent: str | None
    """Name of the version that it came after; None for the first."""

    export_id: str
    corpus_id: str
    dataset_id: str
    actor: str
    at: str
    """When, UTC, ISO 8601."""

    note: str
    settings: dict[str, Any]
    """Of the export."""

    counts: dict[str, int]
    """Texts of the data set (`input`), `kept`, `excluded` and `flagged` ones."""

    size_bytes: int
    checksum: str
    """Of the data."""


@dataclass(frozen=True, kw_only=True)
class Naming:
    """What a person says who freezes a version."""

    name: str
    """Of the new version: letters, digits, dots, hyphens and underscores."""

    parent: str | None
    """Name of the version that it comes after; None for a first one."""

    note: str
    """What it is for."""

    actor: str
    """Who freezes."""


class VersionFiles(NamedTuple):
    """Where a version lies."""

    data: Path
    """A file, or a `datasets` folder."""

    about: Path
    """Folder of manifest.json, recipe.json and the lists."""


@dataclass(frozen=True)
class GroupDiff:
    """How many texts of one kind came and went."""

    value: Any
    before: int
    after: int
    came: int
    went: int


@dataclass(frozen=True)
class VersionDiff:
    """How what is kept differs from what its parent kept."""

    parent: str | None
    """None: everything that was imported."""

    num_before: int
    num_after: int
    num_came: int
    num_went: int

    by: dict[str, list[GroupDiff]]
    """Column, or ``length``, → its values, those with most changes first; lengths in their order."""

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-serialisable values."""
        return asdict(self)


def freeze(
    files: WorkspaceFiles,
    dataset: DatasetRecord,
    states: pl.DataFrame,
    naming: Naming,
    *,
    settings: ExportConfig,
    batches: Iterable[Mapping[str, Any]] = (),
    on_progress: ProgressSink = no_progress,
) -> FrozenVersion:
    """Export the draft, and give the export a name that it keeps.

    Args:
        files: The workspace.
        dataset: The data set.
        states: As for ``export_data``.
        naming: Name, parent and note of the new version, and who freezes.
        settings: Format, what is left out, added columns.
        batches: Fields of the acts behind the decisions, newest first, for the manifest.
        on_progress: As for ``export_data``.

    Raises:
        ConfigError: The name cannot be used, or there is no such parent.
        DataError: The name is taken, or nothing changed since the parent.
        RoleError: The actor only views.
        LorifError: The export cannot be written.
    """
    _check_role(files, naming.actor)
    place = _free_place(files, naming.name)
    before = _parent_of(files, naming, dataset)
    result = export_data(files, dataset, states, None, settings, batches=batches, on_progress=on_progress)
    if before is not None and before.export_id == result.export_id:
        raise DataError(
            f"nothing changed since {before.name!r}: decide about some texts first, or choose other settings."
        )
    assert result.about is not None  # it lies in the workspace
    _protect(result.about)
    version = _version_of(naming, dataset, settings, result)
    _write_once(place, version)
    _copy_record(place, result.about)
    return version


def versions(files: WorkspaceFiles, corpus_id: str | None = None) -> list[FrozenVersion]:
    """Every frozen version, oldest first; of one line of data set versions only, if it is named.

    Raises:
        DamagedArtefact: One was changed since it was frozen, or is gone.
    """
    for place, copy in lost_records(files):
        raise DamagedArtefact(
            f"{str(place)!r}, which names the frozen version {place.stem!r}, is missing: copy {str(copy)!r} back to "
            "its place."
        )
    found = [read_version(path) for path in sorted(_folder(files).glob("*.json"))]
    kept = [one for one in found if corpus_id in (None, one.corpus_id)]
    return sorted(kept, key=lambda one: (one.at, one.name))


def lost_records(files: WorkspaceFiles) -> Iterator[tuple[Path, Path]]:
    """Where files that name versions should lie and do not, each with the copy that lies with the export."""
    for copy in sorted((files.root / EXPORTS_FOLDER).glob(f"*/{COPIES}/*.json")):
        place = _folder(files) / copy.name
        if not place.exists():
            yield place, copy


def version_named(files: WorkspaceFiles, name: str) -> FrozenVersion:
    """The frozen version of that name.

    Raises:
        ConfigError: There is none; the message names those that are there.
        DamagedArtefact: It was changed since it was frozen.
    """
    place = _place(files, name)
    if not place.is_file():  # listing the others refuses where it is gone
        known = ", ".join(one.name for one in versions(files)) or "none yet"
        raise ConfigError(f"no version is called {name!r}; there are: {known}. `lorif freeze` makes one.")
    return read_version(place)


def export_folder(files: WorkspaceFiles, version: FrozenVersion) -> Path:
    """Where the export of a version is kept."""
    return files.root / EXPORTS_FOLDER / version.export_id


def files_of(files: WorkspaceFiles, version: FrozenVersion) -> VersionFiles:
    """Where a version's data lie, and what is known about them; every file is what it was when it was frozen.

    Raises:
        DamagedArtefact: One is missing, or was changed.
    """
    about = export_folder(files, version)
    check_files(about, read_manifest(about))
    return VersionFiles(about / FILE_OF_FORMAT.get(version.settings["format"], ""), about)


def diff_draft(
    files: WorkspaceFiles,
    dataset: DatasetRecord,
    states: pl.DataFrame,
    settings: ExportConfig,
    parent: FrozenVersion | None,
    by: Sequence[str] | None = None,
) -> VersionDiff:
    """How the draft differs from a version, or from everything that was imported.

    Args:
        files: The workspace.
        dataset: The data set.
        states: As for ``export_data``.
        settings: What is left out.
        parent: None: everything that was imported.
        by: Metadata columns, and ``length``. None: source, topic and length, as far as they are there.

    Raises:
        ConfigError: There is no such column.
        ArtefactError: A data set or an export is missing or damaged.
    """
    path = files.examples_file(dataset.dataset_id)
    selection = Selection(path, Decisions(states), settings)
    dropped = [train_id for train_id in states["train_id"] if not selection.is_kept(train_id)]
    columns = _columns(files, dataset.dataset_id, by)
    everything = _frame(files, dataset.dataset_id, columns)
    after = everything.filter(~pl.col("train_id").is_in(dropped))
    before = everything if parent is None else _kept_by(files, parent, columns)
    return _diff(None if parent is None else parent.name, before, after, columns)


def diff_version(files: WorkspaceFiles, version: FrozenVersion, by: Sequence[str] | None = None) -> VersionDiff:
    """How a version differs from its parent, or a first one from everything that was imported. As ``diff_draft``."""
    columns = _columns(files, version.dataset_id, by)
    after = _kept_by(files, version, columns)
    if version.parent is None:
        return _diff(None, _frame(files, version.dataset_id, columns), after, columns)
    return _diff(version.parent, _kept_by(files, version_named(files, version.parent), columns), after, columns)


def _check_role(files: WorkspaceFiles, actor: str) -> None:
    if files.journal.role_of(actor) == "viewer":
        raise RoleError(f"only a curator may freeze a version, and {actor!r} is a viewer: ask an admin for the role.")


def _free_place(files: WorkspaceFiles, name: str) -> Path:
    place = _place(files, name)
    if place.exists():
        raise _is_taken(name)
    return place


def _is_taken(name: str) -> DataError:
    return DataError(f"a frozen version cannot be edited, and {name!r} is one: choose another name.")


def _parent_of(files: WorkspaceFiles, naming: Naming, dataset: DatasetRecord) -> FrozenVersion | None:
    if naming.parent is None:
        return None
    parent = version_named(files, naming.parent)
    if parent.corpus_id != dataset.corpus_id:
        raise ConfigError(f"the parent {naming.parent!r} is a version of other data: name one of {dataset.name!r}.")
    return parent


def _version_of(
    naming: Naming, dataset: DatasetRecord, settings: ExportConfig, result: ExportResult
) -> FrozenVersion:
    return FrozenVersion(
        name=naming.name,
        parent=naming.parent,
        export_id=result.export_id,
        corpus_id=dataset.corpus_id,
        dataset_id=dataset.dataset_id,
        actor=naming.actor,
        at=utc_now().isoformat(timespec="seconds"),
        note=naming.note.strip(),
        settings=asdict(settings) | {"format": result.format},
        counts={
            "input": result.num_input,
            "kept": result.num_kept,
            "excluded": result.num_excluded,
            "flagged": result.num_flagged,
        },
        size_bytes=result.size_bytes,
        checksum=result.checksum,
    )


def _folder(files: WorkspaceFiles) -> Path:
    return files.root / EXPORTS_FOLDER / "versions"


def _place(files: WorkspaceFiles, name: str) -> Path:
    if not NAME.fullmatch(name):
        raise ConfigError(
            f"the name of a version has 1 to 64 letters, digits, dots, hyphens and underscores, got {name[:80]!r}: "
            "as in `v2-without-forum`."
        )
    return _folder(files) / f"{name}.json"


def _protect(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(READ_ONLY)


def _write_once(place: Path, version: FrozenVersion) -> None:
    """Write the file at a place where there is none; two at once cannot both succeed."""
    place.parent.mkdir(parents=True, exist_ok=True)
    values = {"format": FORMAT_VERSION, **asdict(version)}
    partial = place.with_name(f".{place.name}.{uuid.uuid4().hex}")
    try:
        with partial.open("w", encoding="utf-8") as handle:
            json.dump(values | {"fingerprint": fingerprint_of_value(values)}, handle, indent=1, ensure_ascii=False)
            handle.flush()
            os.fsync(handle.fileno())
        partial.chmod(READ_ONLY)
        os.link(partial, place)
        flush_folder(place.parent)
    except FileExistsError as error:
        raise _is_taken(version.name) from error
    finally:
        partial.unlink(missing_ok=True)


def _copy_record(place: Path, about: Path) -> None:
    """After the record has its name: one that is killed between leaves a version without a copy, not the reverse."""
    folder = about / COPIES
    folder.mkdir(exist_ok=True)
    copy = folder / place.name
    copy.unlink(missing_ok=True)  # of a version of this name that somebody took away
    put_if_absent(copy, place.read_bytes())
    copy.chmod(READ_ONLY)


def read_version(path: Path) -> FrozenVersion:
    """The frozen version in a file.

    Raises:
        DamagedArtefact: It was changed since it was frozen, or is of another version than its name says.
    """
    values = read_json(path)
    fingerprint = values.pop("fingerprint", None)
    if fingerprint != fingerprint_of_value(values):
        raise DamagedArtefact(f"{str(path)!r} was changed since it was frozen: restore it from a copy.")
    if values.pop("format") != FORMAT_VERSION:
        raise ArtefactError(f"{str(path)!r} is from a newer version of LoRIF Studio: update it.")
    version = FrozenVersion(**values)
    if version.name != path.stem:
        raise DamagedArtefact(
            f"{str(path)!r} holds the version {version.name!r}: restore the right file from a backup."
        )
    return version


def _columns(files: WorkspaceFiles, dataset_id: str, by: Sequence[str] | None) -> list[str]:
    known = files.examples(dataset_id).metadata_columns
    if by is None:
        return [*(name for name in ("source", "topic") if name in known), LENGTH]
    for name in by:
        if name not in (*known, LENGTH):
            raise ConfigError(f"a difference is told by {LENGTH} or by a column of {', '.join(known)}, got {name!r}.")
    return list(dict.fromkeys(by))


def _frame(files: WorkspaceFiles, dataset_id: str, columns: Sequence[str]) -> pl.DataFrame:
    """One row per example: train_id and a text, or null, for each column."""
    table = files.examples(dataset_id)
    characters = pl.sum_horizontal(pl.col(name).str.len_chars() for name in table.shown_columns)
    found = [
        characters.alias(f"by {name}")
        if name == LENGTH
        else (pl.col(name) if name in table.metadata_columns else pl.lit(None)).cast(pl.String).alias(f"by {name}")
        for name in columns
    ]
    return pl.scan_parquet(files.examples_file(dataset_id)).select("train_id", *found).collect()


def _kept_by(files: WorkspaceFiles, version: FrozenVersion, columns: Sequence[str]) -> pl.DataFrame:
    ids = [entry["id"] for entry in iter_entries(files_of(files, version).about / KEPT_FILE)]
    kept = pl.DataFrame({"train_id": ids}, schema={"train_id": pl.String})
    return kept.join(_frame(files, version.dataset_id, columns), on="train_id", how="left", maintain_order="left")


def _diff(parent: str | None, before: pl.DataFrame, after: pl.DataFrame, columns: Sequence[str]) -> VersionDiff:
    came = after.join(before, on="train_id", how="anti")
    went = before.join(after, on="train_id", how="anti")
    return VersionDiff(
        parent=parent,
        num_before=len(before),
        num_after=len(after),
        num_came=len(came),
        num_went=len(went),
        by={name: list(_groups(name, before, after, came, went)) for name in columns},
    )


def _groups(name: str, *frames: pl.DataFrame) -> Iterator[GroupDiff]:
    counts = [_counted(frame[f"by {name}"], is_length=name == LENGTH) for frame in frames]
    values = list(dict.fromkeys(value for counted in counts for value in counted))
    found = [GroupDiff(value, *(counted.get(value, 0) for counted in counts)) for value in values]
    if name == LENGTH:
        found.sort(key=lambda one: one.value)
        return iter(GroupDiff(_words(one.value), one.before, one.after, one.came, one.went) for one in found)
    return iter(sorted(found, key=lambda one: (-one.came - one.went, -one.after, str(one.value))))


def _counted(values: pl.Series, *, is_length: bool) -> dict[Any, int]:
    if is_length:
        least = values.fill_null(0).cast(pl.Float64).clip(lower_bound=SHORTEST)
        values = least.log(2.0).floor().cast(pl.Int64)
    return dict(values.value_counts().iter_rows())


def _words(exponent: int) -> str:
    least = 0 if 2**exponent <= SHORTEST else 2**exponent
    return f"{least:,} to {2 ** (exponent + 1) - 1:,} characters"
