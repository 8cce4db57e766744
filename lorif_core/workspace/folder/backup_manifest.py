"""What a backup says of itself: every file with its checksum, and the journal's identity and revision.

A folder is a backup when it holds a manifest, and the manifest is the last file that is written before the folder
gets its name.
"""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lorif_core.errors import ArtefactError, DamagedArtefact, LorifError
from lorif_core.files import fingerprint_of_value, read_json, write_json

FORMAT = 1
MANIFEST_FILE = "manifest.json"
FILES_FOLDER = "files"

NAME = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ(-\d+)?")
"""Of a backup's folder: the time in UTC when it began, and a number where several began in one second."""


@dataclass(frozen=True)
class BackupFile:
    """One file of a backup."""

    path: str
    """Within the workspace, with forward slashes."""

    size_bytes: int

    mtime_ns: int
    """Of the file in the workspace when it was copied."""

    checksum: str


@dataclass(frozen=True)
class BackupManifest:
    """What is in a backup."""

    program_version: str
    made_at: str
    """When it began, in UTC."""

    workspace_id: str
    journal_id: str
    revision: int
    """The last one that is in it."""

    digest: str
    """Of the journal's chain at that revision."""

    journal_place: str
    """Where the journal was, without a password."""

    files: list[BackupFile]

    @property
    def size_bytes(self) -> int:
        """Of all files together."""
        return sum(file.size_bytes for file in self.files)


def write_backup_manifest(folder: Path, manifest: BackupManifest) -> None:
    """Make a folder a backup."""
    content = {"format": FORMAT, **asdict(manifest)}
    write_json(folder / MANIFEST_FILE, content | {"checksum": fingerprint_of_value(content)})


def read_backup_manifest(folder: Path) -> BackupManifest:
    """What a backup holds.

    Raises:
        DamagedArtefact: The manifest is missing, or not what was written.
        ArtefactError: A newer program wrote it.
    """
    try:
        content = read_json(folder / MANIFEST_FILE)
    except ArtefactError as error:
        there = (folder / MANIFEST_FILE).exists()
        raise _damaged(folder, "it is not what was written" if there else "it is missing") from error
    checksum, version = content.pop("checksum", None), content.get("format")
    if checksum != fingerprint_of_value(content):
        raise _damaged(folder, "it is not what was written")
    if version != FORMAT:
        raise ArtefactError(
            f"the backup {str(folder)!r} has format {version} and this program reads {FORMAT}: it was written by "
            "another version of LoRIF Studio. Upgrade with `pip install --upgrade lorif-studio`."
        )
    content["files"] = [BackupFile(**file) for file in content["files"]]
    del content["format"]
    return BackupManifest(**content)


def backups_in(target: Path) -> list[Path]:
    """The folders of all backups at a place, newest first, whole or not."""
    if not target.is_dir():
        return []
    found = [path for path in target.iterdir() if NAME.fullmatch(path.name) and path.is_dir()]
    return sorted(found, key=_order, reverse=True)


def backups_of(target: Path, workspace_id: str) -> list[tuple[Path, BackupManifest]]:
    """The backups of one workspace at a place, newest first; those that cannot be read are left out."""
    found: list[tuple[Path, BackupManifest]] = []
    for folder in backups_in(target):
        try:
            manifest = read_backup_manifest(folder)
        except LorifError:
            continue
        if manifest.workspace_id == workspace_id:
            found.append((folder, manifest))
    return found


def choose_backup(target: Path, name: str | None) -> Path:
    """The folder of the backup with a name, or of the newest one; ``target`` may be a backup itself.

    Raises:
        ArtefactError: There is none.
    """
    if name is None and NAME.fullmatch(target.name) and (target / MANIFEST_FILE).exists():
        return target
    found = backups_in(target)
    if not found:
        raise ArtefactError(f"{str(target)!r} holds no backup: `lorif backup WORKSPACE TARGET` makes one.")
    chosen = [folder for folder in found if name in (None, folder.name)]
    if not chosen:
        raise ArtefactError(f"no backup in {str(target)!r} is called {name!r}; there are {names_of(found)}.")
    return chosen[0]


def names_of(folders: Sequence[Path]) -> str:
    """Names of backups for a sentence."""
    shown = [folder.name for folder in folders[:5]]
    return ", ".join(shown) + (f" and {len(folders) - 5} more" if len(folders) > 5 else "")


def _order(folder: Path) -> tuple[Any, ...]:
    time, _, number = folder.name.partition("Z")
    return time, int(number[1:] or 1)


def _damaged(folder: Path, why: str) -> DamagedArtefact:
    return DamagedArtefact(
        f"the manifest of the backup {str(folder)!r} is damaged ({why}): restore another one with `--backup NAME`."
    )
