"""A backup of a workspace while others work in it.

It holds one moment of catalog and journal, and every file that they name; docs/decisions/0029 says why. A file that
is as it was in the backup before is a hard link to that, which takes no room.
"""

import errno
import importlib.metadata
import os
import shutil
import stat
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from filelock import FileLock, Timeout

from lorif_core.catalog.catalog_file import lock_of
from lorif_core.errors import ArtefactError, ConfigError, ResourceError
from lorif_core.file_turns import turn_at
from lorif_core.files import CHUNK_BYTES, UNFINISHED, checksum_of_file, flush_folder, start_hash
from lorif_core.journal.copy_journal import copying
from lorif_core.journal.entries import utc_now
from lorif_core.journal.last_seen import Seen
from lorif_core.journal.locations import plain_place
from lorif_core.workspace.folder.backup_manifest import (
    FILES_FOLDER,
    BackupFile,
    BackupManifest,
    backups_of,
    write_backup_manifest,
)
from lorif_core.workspace.folder.progress import ProgressSink, no_progress
from lorif_core.workspace.folder.workspace_files import CATALOG, JOURNAL, LAST_SEEN, STATES_FOLDER, WorkspaceFiles

CATALOG_TIMEOUT_S = 60.0
LOCK_FILE = ".lorif-backup.lock"
STAGE = "backup"

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system says when there is no room; the last one where a limit is set on the size of files."""

NOT_COPIED = (".lock", ".starting")
"""Endings of files that belong to running processes."""


@dataclass(frozen=True)
class BackupResult:
    """A backup that was made."""

    path: Path
    num_files: int
    size_bytes: int
    """Of everything in it."""

    copied_bytes: int
    """What it took: the rest are links to files of the backup before."""

    revision: int
    """The last act of the journal that is in it."""

    removed: list[str]
    """Names of older backups that were deleted."""


@dataclass
class _Copier:
    """Copies files into a backup, or links those that the newest backup before has."""

    into: Path
    earlier_folder: Path | None
    earlier: dict[str, BackupFile]
    on_progress: ProgressSink
    total_bytes: int = 0
    done_bytes: int = 0
    copied_bytes: int = 0
    files: dict[str, BackupFile] = field(default_factory=dict)

    def known(self, path: str, found: os.stat_result) -> BackupFile | None:
        """The file in the backup before, if size and time say that it is the same."""
        known = self.earlier.get(path)
        is_same = known is not None and (known.size_bytes, known.mtime_ns) == (found.st_size, found.st_mtime_ns)
        return known if is_same else None

    def add(self, source: Path, path: str) -> None:
        """Copy a file, or link it; one that is gone by now was named by nothing."""
        try:
            found = source.stat()
        except FileNotFoundError:
            return
        if not stat.S_ISREG(found.st_mode):
            return
        known = self.known(path, found)
        if known is not None and self._link(path):
            self.files[path] = known
            self._advance(known.size_bytes)
            return
        target = self.place(path)
        try:
            copied = copy_file(source, target, path, self._advance)
        except FileNotFoundError:
            return
        self.keep(copied)

    def keep(self, copied: BackupFile) -> None:
        """Take a copied file in, as a link if the backup before has the same content."""
        known = self.earlier.get(copied.path)
        if known is not None and known.checksum == copied.checksum:
            target = self.place(copied.path)
            aside = target.with_name(f"{target.name}{UNFINISHED}")
            target.rename(aside)
            if self._link(copied.path):
                aside.unlink()
                self.files[copied.path] = copied
                return
            aside.rename(target)
        self.files[copied.path] = copied
        self.copied_bytes += copied.size_bytes

    def place(self, path: str) -> Path:
        """Where a file of the workspace lies in the backup."""
        place = self.into / path
        place.parent.mkdir(parents=True, exist_ok=True)
        return place

    def _link(self, path: str) -> bool:
        if self.earlier_folder is None:
            return False
        try:
            self.place(path).hardlink_to(self.earlier_folder / FILES_FOLDER / path)
        except OSError as error:
            if error.errno in FULL:
                raise
            return False  # no links here, too many of one file, or the one before is gone: a copy does
        return True

    def _advance(self, num_bytes: int) -> None:
        self.done_bytes += num_bytes
        self.on_progress(STAGE, self.done_bytes, max(self.total_bytes, self.done_bytes))


def back_up(
    files: WorkspaceFiles, target: Path, *, keep: int | None = None, on_progress: ProgressSink = no_progress
) -> BackupResult:
    """Write a backup of a workspace into a new folder of ``target``, named after the time.

    Args:
        files: The workspace; others may work in it.
        target: A folder outside the workspace, made if it is not there; it may hold earlier backups.
        keep: How many backups of this workspace to keep, this one included; None keeps all.
        on_progress: Receives the stage `backup` with bytes.

    Raises:
        ConfigError: ``keep`` is less than 1, or the target lies in the workspace.
        ArtefactError: Another backup is being written there, or the target is no folder.
        ResourceError: There is no room; nothing is left of the backup.
        TurnError: Others do not stop writing the catalog.
    """
    if keep is not None and keep < 1:
        raise ConfigError(f"at least 1 backup is kept, the one that is made; got {keep}.")
    target = target.expanduser().resolve()
    if target.is_relative_to(files.root.resolve()):
        raise ConfigError(f"a backup must be outside the workspace, got {str(target)!r}: choose another folder.")
    if target.exists() and not target.is_dir():
        raise ArtefactError(f"backups lie in a folder, and {str(target)!r} is a file: choose another place.")
    with full_disk_said(target):
        target.mkdir(parents=True, exist_ok=True)
        with _alone_in(target):
            _clear(target)
            return _write(files, target, keep, on_progress)


def _write(files: WorkspaceFiles, target: Path, keep: int | None, on_progress: ProgressSink) -> BackupResult:
    began = utc_now()
    name = _free_name(target, f"{began:%Y-%m-%dT%H-%M-%SZ}")
    partial = target / f".{name}{UNFINISHED}"
    earlier = next(iter(backups_of(target, files.workspace_id)), None)
    known = {} if earlier is None else {file.path: file for file in earlier[1].files}
    copier = _Copier(partial / FILES_FOLDER, None if earlier is None else earlier[0], known, on_progress)
    try:
        copier.into.mkdir(parents=True)
        seen = _copy_stores(files, copier)
        _copy_files(files, copier)
        manifest = BackupManifest(
            program_version=_program_version(),
            made_at=began.isoformat(),
            workspace_id=files.workspace_id,
            journal_id=seen.identity,
            revision=seen.revision,
            digest=seen.digest,
            journal_place=seen.place,
            files=[copier.files[path] for path in sorted(copier.files)],
        )
        for folder, _, _ in os.walk(partial):
            flush_folder(Path(folder))
        write_backup_manifest(partial, manifest)
        partial.rename(target / name)
        flush_folder(target)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    removed = [] if keep is None else _remove_old(target, files.workspace_id, keep)
    return BackupResult(
        target / name, len(manifest.files), manifest.size_bytes, copier.copied_bytes, seen.revision, removed
    )


def _copy_stores(files: WorkspaceFiles, copier: _Copier) -> Seen:
    """Catalog and journal of one moment: nobody writes the catalog until the journal's moment is fixed."""
    journal = files.journal
    files.catalog.datasets()  # opens it: an older one is brought up to date, a damaged one refused
    with ExitStack() as moment:
        with turn_at(lock_of(files.catalog_file), CATALOG_TIMEOUT_S):
            for path in sorted(files.root.glob(f"{CATALOG}*")):
                if not path.name.endswith(NOT_COPIED):
                    copier.add(path, path.name)
            copy = moment.enter_context(copying(journal.engine, plain_place(files.journal_location)))
        place = copier.place(JOURNAL)
        seen = copy(place, lambda done, total: copier.on_progress("journal", done, total))
    found = place.stat()
    copier.keep(BackupFile(JOURNAL, found.st_size, found.st_mtime_ns, checksum_of_file(place)))
    return seen


def _copy_files(files: WorkspaceFiles, copier: _Copier) -> None:
    """Everything else. What names other files (JSON) is copied first: those were there before it.

    The second list has every file that was there when the last of them was read, for a list that is made while files
    come may lack some. What names files and is only in the second list is left out: nobody copies what it names.
    """
    first = dict(_listed(files.root))
    naming = [path for path in first if path.endswith(".json")]
    _expect(copier, first, first)
    for path in naming:
        copier.add(first[path], path)
    second = first | {path: source for path, source in _listed(files.root) if not path.endswith(".json")}
    content = [path for path in second if not path.endswith(".json")]
    _expect(copier, second, content)
    for path in content:
        copier.add(second[path], path)


def _listed(root: Path) -> Iterator[tuple[str, Path]]:
    """What lasts in a workspace: no stores, no locks, nothing unfinished, no copies that can be made anew."""
    seen_folders: set[str] = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        here = Path(folder)
        real = os.path.realpath(folder)
        folders[:] = [] if real in seen_folders else sorted(name for name in folders if not name.startswith("."))
        if here == root:
            folders[:] = [name for name in folders if name != STATES_FOLDER]
        if real in seen_folders:
            continue
        seen_folders.add(real)
        for name in sorted(names):
            is_store = here == root and name.startswith((CATALOG, JOURNAL, LAST_SEEN))
            if not (is_store or name.startswith(".") or name.endswith(NOT_COPIED)):
                path = here / name
                yield path.relative_to(root).as_posix(), path


def _expect(copier: _Copier, found: Mapping[str, Path], paths: Iterable[str]) -> None:
    """Count what is to come, and refuse to begin what has no room."""
    total = needed = 0
    for path in paths:
        if path in copier.files:
            continue
        try:
            status = found[path].stat()
        except OSError:
            continue  # gone by now, or a link that leads nowhere
        total += status.st_size
        needed += 0 if copier.known(path, status) else status.st_size
    copier.total_bytes = copier.done_bytes + total
    free = shutil.disk_usage(copier.into).free
    if needed > free:
        raise ResourceError(
            f"the backup needs {needed:,} bytes and the disk of {str(copier.into.parents[1])!r} has {free:,} free: "
            "free some space, choose another folder, or delete older backups with `--keep`."
        )


def copy_file(source: Path, target: Path, path: str, advance: Callable[[int], None]) -> BackupFile:
    """Copy the bytes and the time of a file, onto the disk, and say what they were."""
    digest, size = start_hash(), 0
    with source.open("rb", buffering=0) as reader, target.open("xb", buffering=0) as writer:
        found = os.fstat(reader.fileno())
        while block := reader.read(CHUNK_BYTES):
            writer.write(block)
            digest.update(block)
            size += len(block)
            advance(len(block))
        os.utime(target, ns=(found.st_mtime_ns, found.st_mtime_ns))
        os.fsync(writer.fileno())
    return BackupFile(path, size, found.st_mtime_ns, digest.hexdigest())


@contextmanager
def full_disk_said(target: Path) -> Generator[None, None, None]:
    """Say in a sentence that there is no room.

    Raises:
        ResourceError: The disk is full.
    """
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise ResourceError(
                f"the disk of {str(target)!r} is full ({error.strerror}): nothing was kept there. Free some space, "
                "or choose another folder."
            ) from error
        raise


@contextmanager
def _alone_in(target: Path) -> Generator[None, None, None]:
    lock = FileLock(target / LOCK_FILE, timeout=0, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout as error:
        raise ArtefactError(
            f"another backup is being written into {str(target)!r}: wait until it is done, or choose another folder."
        ) from error
    try:
        yield
    finally:
        lock.release()


def _clear(target: Path) -> None:
    """Delete what killed backups left."""
    for path in target.glob(f".*{UNFINISHED}"):
        shutil.rmtree(path, ignore_errors=True)


def _free_name(target: Path, time: str) -> str:
    names = (time if number == 1 else f"{time}-{number}" for number in count(1))
    return next(name for name in names if not (target / name).exists())


def _remove_old(target: Path, workspace_id: str, keep: int) -> list[str]:
    """Delete all but the newest backups of a workspace; each loses its name first."""
    old = [folder for folder, _ in backups_of(target, workspace_id)[keep:]]
    for folder in old:
        doomed = folder.with_name(f".{folder.name}{UNFINISHED}")
        folder.rename(doomed)
        shutil.rmtree(doomed)
    return [folder.name for folder in old]


def _program_version() -> str:
    try:
        return importlib.metadata.version("lorif-studio")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
