"""Where an export is put: whole, or not at all.

Everything is written and flushed in a hidden folder beside its place, then renamed.

* A folder (an export of the workspace, or a ``datasets`` folder) is one rename. One that it replaces is first
  renamed into the hidden folder; should the program die between the two, the next export to this place, or its
  check, puts the old one back.
* A file is one rename, too. What is known about it lies beside it in the folder ``NAME.export-<export id>``, which
  is there before the file and whose name no other export shares, so that at every moment the file that is there
  has its own manifest. A replaced file's folder is removed last.
"""

import errno
import filecmp
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from lorif_core.errors import ArtefactError, DataError, ResourceError
from lorif_core.files import flush_folder
from lorif_core.plain_files import require_folder_of
from lorif_core.system_failures import what_failed

MANIFEST_FILE = "manifest.json"
LOCK_FILE = "lock"


def about_folder(out: Path, export_id: str) -> Path:
    """Where the manifest and the lists of an exported file lie."""
    return out.with_name(f"{out.name}.export-{export_id}")


def about_folders(out: Path) -> list[Path]:
    """The folders of every export to ``out`` that left one, the present one among them."""
    found = sorted(out.parent.glob(f"{_escaped(out.name)}.export-*"))
    return [folder for folder in found if (folder / MANIFEST_FILE).is_file()]


def require_place(out: Path, *, is_folder: bool, overwrites: bool) -> None:
    """Refuse a place that cannot take an export, before anything is read.

    Raises:
        DataError: Something is there and may not be replaced, or the folder around it does not exist.
    """
    require_folder_of(out)
    if is_folder and out.exists() and not (out / "state.json").is_file():
        raise DataError(
            f"only a `datasets` folder is replaced by one, {str(out)!r} is something else. Choose another `--out`."
        )
    if not is_folder and out.is_dir():
        raise DataError(f"{str(out)!r} is a folder, and this format is one file. Name a file with `--out`.")
    if out.exists() and not overwrites:
        raise DataError(f"{str(out)!r} exists already. Choose another `--out`, or pass `--force` to replace it.")


@contextmanager
def staging_beside(place: Path) -> Iterator[Path]:
    """A hidden folder on the disk of ``place``, removed when the block ends.

    What earlier exports to this place left when they were killed is put right first.

    Raises:
        ResourceError: The disk is full.
        ArtefactError: The folder around ``place`` cannot be written.
    """
    with _failures_named(place):
        place.parent.mkdir(exist_ok=True)
        recover(place)
        staging = place.with_name(f".{place.name}.{uuid.uuid4().hex[:8]}.exporting")
        staging.mkdir()
        with FileLock(staging / LOCK_FILE):
            try:
                yield staging
            finally:
                _settle(staging, place)


def recover(place: Path) -> None:
    """Undo what a killed export left half done at a place; exports that are still running are left alone."""
    for staging in place.parent.glob(f".{_escaped(place.name)}.*.exporting"):
        with suppress(Timeout), FileLock(staging / LOCK_FILE, timeout=0):
            _settle(staging, place)


def _settle(staging: Path, place: Path) -> None:
    # Whatever is removed is first renamed: what is half removed must never be taken for whole.
    old = staging / "old"
    if old.exists():
        old.rename(staging / "removed" if place.exists() else place)
    if (staging / "data").exists():
        for marker in staging.glob("about-*"):
            with suppress(FileNotFoundError):
                about_folder(place, marker.name.removeprefix("about-")).rename(staging / "unused")
    shutil.rmtree(staging, ignore_errors=True)


def publish_folder(new: Path, place: Path, staging: Path) -> None:
    """Rename a finished folder to its place; one that is there goes into the staging folder."""
    flush(new)
    if place.exists():
        place.rename(staging / "old")
    new.rename(place)
    flush_folder(place.parent)


def publish_unless_there(new: Path, place: Path) -> bool:
    """Rename a finished folder to its place; whether nobody else had published one there by then."""
    flush(new)
    try:
        new.rename(place)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        return False
    flush_folder(place.parent)
    return True


def publish_file(new: Path, out: Path, about: Path | None, export_id: str, staging: Path) -> None:
    """Rename a finished file to its place, after the folder about it.

    Args:
        new: The file.
        out: Its place; a file that is there is replaced.
        about: Folder with what is known about it; those of replaced files are removed. None: nothing is known, and
            whatever lies beside the file stays.
        export_id: Names the folder at its place.
        staging: Takes what is to be removed.
    """
    flush(new)
    # While it is here, the folder of the mark below describes nothing.
    new = new.rename(staging / "data")
    if about is not None:
        flush(about)
        place = about_folder(out, export_id)
        if not _same_files(about, place):
            (staging / f"about-{export_id}").mkdir()
            if place.exists():
                place.rename(staging / "damaged")
            about.rename(place)
        flush_folder(out.parent)
    is_replaced = out.exists()
    new.replace(out)
    flush_folder(out.parent)
    if about is not None and is_replaced:
        for former in about_folders(out):
            if former != about_folder(out, export_id):
                former.rename(staging / f"former-{former.name}")


def flush(path: Path) -> None:
    """Force a file, or a folder with everything below it, to the disk."""
    for found in [*sorted(path.rglob("*"), reverse=True), path]:  # what a folder holds, then the folder
        if found.is_dir():
            flush_folder(found)
        else:
            with found.open("rb+") as handle:
                os.fsync(handle.fileno())


def _same_files(one: Path, other: Path) -> bool:
    names = sorted(path.name for path in one.iterdir())
    if not other.is_dir() or names != sorted(path.name for path in other.iterdir()):
        return False
    return all(filecmp.cmp(one / name, other / name, shallow=False) for name in names)


def _escaped(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


@contextmanager
def _failures_named(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ResourceError(
                f"the disk that holds {str(place.parent)!r} is full while writing {place.name!r}: nothing was "
                "changed. Free some space and run the same command again."
            ) from error
        raise ArtefactError(
            f"{str(place)!r} cannot be written {what_failed(error)}, or choose another `--out`. Nothing was changed."
        ) from error
