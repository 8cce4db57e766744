"""A workspace from a backup: checked file by file before anything appears in its place."""

import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path

from lorif_core.errors import ArtefactError, DamagedArtefact, ResourceError
from lorif_core.files import UNFINISHED, flush_folder, read_json, write_json
from lorif_core.journal.copy_journal import fill_database
from lorif_core.journal.entries import utc_now
from lorif_core.journal.last_seen import LastSeen, Seen
from lorif_core.journal.locations import plain_place
from lorif_core.journal.own_journal import OWN_FILE
from lorif_core.workspace.folder.backup import copy_file, full_disk_said
from lorif_core.workspace.folder.backup_manifest import (
    FILES_FOLDER,
    BackupFile,
    BackupManifest,
    backups_in,
    choose_backup,
    names_of,
    read_backup_manifest,
)
from lorif_core.workspace.folder.journal_place import check_address
from lorif_core.workspace.folder.progress import ProgressSink, no_progress
from lorif_core.workspace.folder.workspace_files import JOURNAL, LAST_SEEN, MARKER, open_files

STAGE = "restore"


@dataclass(frozen=True)
class RestoreResult:
    """A workspace that came back."""

    path: Path
    backup: str
    """Name of the backup."""

    made_at: str
    """When the backup was made."""

    num_files: int
    size_bytes: int
    revision: int
    """The last act of the journal that came back."""

    journal: str
    """Where decisions are kept, without a password."""

    replaced: Path | None
    """Where the workspace is now that was there before."""


def restore_backup(
    target: Path,
    workspace: Path,
    *,
    name: str | None = None,
    replaces: bool = False,
    journal: str | None = None,
    on_progress: ProgressSink = no_progress,
) -> RestoreResult:
    """Bring a workspace back from a backup.

    Args:
        target: The folder with the backups, or one backup.
        workspace: Where it is to be; nothing may be there.
        name: Of the backup; None is the newest.
        replaces: Move what is there aside.
        journal: Address of an empty PostgreSQL database for the decisions; None keeps them in the workspace's file.
        on_progress: Receives the stage `restore` with bytes.

    Raises:
        ArtefactError: There is no such backup, or something is in the place.
        DamagedArtefact: A file is missing or not what was backed up; nothing was written.
        JournalError: The database is not empty, or cannot be used.
        ResourceError: There is no room; nothing was written.
    """
    workspace = workspace.expanduser().resolve()
    if workspace.exists() and not replaces:
        raise ArtefactError(
            f"{str(workspace)!r} is there already: choose another place, or add `--replace`, which moves it aside."
        )
    if journal is not None:
        check_address(journal)
    backup = choose_backup(target.expanduser().resolve(), name)
    if backup.is_relative_to(workspace):
        raise ArtefactError(f"the backup {str(backup)!r} lies in the place of the workspace: choose another place.")
    manifest = read_backup_manifest(backup)
    partial = workspace.with_name(f".{workspace.name}.{uuid.uuid4().hex}{UNFINISHED}")
    try:
        with full_disk_said(workspace.parent):
            workspace.parent.mkdir(parents=True, exist_ok=True)
            _copy_all(backup, manifest, partial, on_progress)
            place = _place_journal(manifest, partial, journal, on_progress)
        replaced = _move_in(partial, workspace)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    files = open_files(workspace)
    files.journal.close()  # says so if it is not what was backed up
    return RestoreResult(
        workspace,
        backup.name,
        manifest.made_at,
        len(manifest.files),
        manifest.size_bytes,
        manifest.revision,
        place,
        replaced,
    )


def _copy_all(backup: Path, manifest: BackupManifest, into: Path, on_progress: ProgressSink) -> None:
    free = shutil.disk_usage(into.parent).free
    if manifest.size_bytes > free:
        raise ResourceError(
            f"the workspace needs {manifest.size_bytes:,} bytes and the disk of {str(into.parent)!r} has {free:,} "
            "free: free some space, or choose another place."
        )
    done = 0

    def advance(num_bytes: int) -> None:
        nonlocal done
        done += num_bytes
        on_progress(STAGE, done, max(manifest.size_bytes, done))

    into.mkdir()
    for file in manifest.files:
        place = into / file.path
        if not place.resolve().is_relative_to(into.resolve()):
            raise _damaged(backup, file, "leads out of the workspace")
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            copied = copy_file(backup / FILES_FOLDER / file.path, place, file.path, advance)
        except FileNotFoundError as error:
            raise _damaged(backup, file, "is missing") from error
        if (copied.size_bytes, copied.checksum) != (file.size_bytes, file.checksum):
            raise _damaged(backup, file, "is not what was backed up: its checksum differs")
    for folder in (path for path in into.rglob("*") if path.is_dir()):
        flush_folder(folder)


def _damaged(backup: Path, file: BackupFile, problem: str) -> DamagedArtefact:
    others = [folder for folder in backups_in(backup.parent) if folder != backup]
    remedy = (
        f"restore another one with `--backup`: {names_of(others)}" if others else "there is no other one beside it"
    )
    return DamagedArtefact(f"{file.path!r} in the backup {str(backup)!r} {problem}. Nothing was restored; {remedy}.")


def _place_journal(manifest: BackupManifest, folder: Path, address: str | None, on_progress: ProgressSink) -> str:
    """Put the decisions where they are to be kept, and remember that as the workspace's own journal."""
    marker = read_json(folder / MARKER)
    marker.pop("journal", None)
    if address is None:
        place = OWN_FILE
    else:
        fill_database(folder / JOURNAL, address, lambda done, total: on_progress("journal", done, total))
        for path in folder.glob(f"{JOURNAL}*"):
            path.unlink()
        marker["journal"], place = address, plain_place(address)
    write_json(folder / MARKER, marker)
    LastSeen(folder / LAST_SEEN).write(Seen(manifest.journal_id, manifest.revision, manifest.digest, place))
    return place


def _move_in(partial: Path, workspace: Path) -> Path | None:
    replaced = None
    if workspace.exists():
        replaced = workspace.with_name(f"{workspace.name}.replaced-{utc_now():%Y%m%dT%H%M%S%f}")
        workspace.rename(replaced)
    partial.rename(workspace)
    flush_folder(workspace.parent)
    return replaced
