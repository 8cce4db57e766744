"""Files that never half-exist and say when they are damaged, and hashes that name their content.

Every artefact is written beside its final name, flushed to the disk and renamed, so a reader sees the old file or the
new one. Fingerprints identify inputs (data, models, settings); checksums find damage. Both are XXH3-128: damage and
mix-ups are what they guard against, not an adversary.

A **seal** is a checksum that a file carries inside: ``BLANK_SEAL``, wherever its format has room for a note, whose
digits are replaced by the checksum of all its bytes with these digits as zeros. Whoever reads the file checks it. So
a file and its checksum cannot come apart, and every other program reads the file as before. A file without a seal was
written by an earlier version, or by somebody else, and is read as it is.
"""

import errno
import io
import json
import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorif_core.errors import ArtefactError, ConfigError, DamagedArtefact, ResourceError

if TYPE_CHECKING:
    import xxhash

CHUNK_BYTES = 1 << 22

UNFINISHED = ".unfinished"
"""What the name of a file ends in until ``put_if_absent`` links it. Such files may be deleted at any time."""

PARTIAL = ".partial"
"""What the name of a file ends in until ``replace_file`` renames it. A killed writer leaves it behind."""

_HEAD, _TAIL = b"lorif-seal:", b":lorif-seal"
_NUM_DIGITS = 32
_LONGEST_NAME = 180

BLANK_SEAL = f"{_HEAD.decode()}{'0' * _NUM_DIGITS}{_TAIL.decode()}"
"""The note where ``seal`` writes its checksum; if one of its ends is damaged, the other says that it was there."""

SEAL = "seal"
"""The key of the note in a JSON object and in the metadata of Parquet and safetensors files."""

_FOOTED = (b"PAR1", b"PK")
"""How the formats begin whose notes stand at the end: Parquet, and archives of NumPy."""

_MOST_SWEEPS = 10
"""How often in a row a file may be deleted under a writer before that is an error."""

Stamp = tuple[int, ...]
"""Of a file as it lies on the disk; every write changes it."""

_CHECKED: dict[tuple[Path, str | None], Stamp] = {}
"""What this process has found whole already, by the checksum that was asked for; None: by its seal."""

RESTORE = "Restore it from a backup; `lorif doctor` says what can be made again."
"""What a person can do about a damaged file, unless something better is known."""


@contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path that becomes ``path`` when the block ends without an error.

    No other writer has the same temporary path, so of several writers the last one wins, whole.

    Raises:
        ResourceError: The disk is full. Nothing is left behind under either name.
    """
    partial = _temporary_name(path, PARTIAL)
    try:
        yield partial
        with partial.open("rb+") as handle:
            os.fsync(handle.fileno())
        partial.replace(path)
        flush_folder(path.parent)
    except OSError as error:
        partial.unlink(missing_ok=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ResourceError(disk_full_message(path)) from error
        raise
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


@contextmanager
def replace_sealed(path: Path) -> Iterator[Path]:
    """As ``replace_file``, for a file in which the block has left a ``BLANK_SEAL``; see ``seal``."""
    with replace_file(path) as partial:
        yield partial
        seal(partial)


def _temporary_name(path: Path, ending: str) -> Path:
    short = path.name.encode()[:_LONGEST_NAME].decode(errors="ignore")
    return path.with_name(f".{short}.{uuid.uuid4().hex}{ending}")


def disk_full_message(path: Path) -> str:
    """Say that the disk of ``path`` is full and what to do."""
    return (
        f"the disk that holds {str(path.parent)!r} is full while writing {path.name!r}: what was finished is "
        "kept. Free some space and run the same command again; it resumes."
    )


def give_up(path: Path, endings: Iterable[str]) -> list[Path]:
    """Move a file that is wanted no more aside, with those beside it whose names go on with an ending.

    They get one time into their names, so what belongs together still does. Returns the new names.
    """
    time = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
    moved: list[Path] = []
    for found in (path, *(path.with_name(path.name + ending) for ending in endings)):
        if found.exists() or found.is_symlink():
            moved.append(found.rename(path.with_name(f"{path.stem}.given-up-{time}{found.name[len(path.stem) :]}")))
    return moved


def flush_folder(folder: Path) -> None:
    """Force the names in a folder to the disk; what they name has to be there before."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def put_if_absent(path: Path, content: bytes) -> bytes:
    """Create a file unless there is one, and return what it holds now: ``content``, or what was there before.

    Of several writers, also on machines that share the disk, one wins, and all return what the winner wrote. It is on
    the disk by then. A writer that is killed leaves at most a file whose name ends in ``UNFINISHED``; if that of a
    living writer is deleted, it writes it again.

    Raises:
        ResourceError: The disk is full.
        ArtefactError: The file system has no hard links.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    num_sweeps = 0
    while True:
        try:
            return _link_content(path, content)
        except FileNotFoundError:
            num_sweeps += 1
            if num_sweeps == _MOST_SWEEPS:
                raise


def _link_content(path: Path, content: bytes) -> bytes:
    unfinished = _temporary_name(path, UNFINISHED)
    try:
        with unfinished.open("xb") as handle:
            handle.write(content)
            handle.flush()
            os.fsync(handle.fileno())
        with suppress(FileExistsError):
            _link(unfinished, path)
        flush_folder(path.parent)  # also for a file that is there: its writer may not have come so far
        return path.read_bytes()
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ResourceError(disk_full_message(path)) from error
        raise
    finally:
        unfinished.unlink(missing_ok=True)


def _link(unfinished: Path, path: Path) -> None:
    try:
        path.hardlink_to(unfinished)
    except OSError as error:
        if error.errno in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS):
            raise ArtefactError(
                f"an index needs a disk with hard links, {str(path.parent)!r} lies on one without "
                f"({error.strerror}). Put the workspace on another disk."
            ) from error
        raise


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write ``value`` as readable JSON with a seal, atomically."""
    with replace_file(path) as partial:
        partial.write_bytes(json_bytes(value))


def put_json(path: Path, value: dict[str, Any]) -> dict[str, Any]:
    """Create a JSON file unless there is one, and return the object that it holds now; see ``put_if_absent``."""
    put_if_absent(path, json_bytes(value))
    return read_json(path)


def json_bytes(value: dict[str, Any]) -> bytes:
    """``value`` as readable JSON with a seal, as ``write_json`` writes it."""
    return sealed((json.dumps({SEAL: BLANK_SEAL, **value}, indent=1, ensure_ascii=False) + "\n").encode())


def read_json(path: Path, *names: str) -> dict[str, Any]:
    """Object of a JSON file, without the seal that is checked here.

    Args:
        path: The file.
        *names: What the object must hold: another of our files may have been put in its place, and its seal is right.

    Raises:
        ArtefactError: The file is missing, not a JSON object, or another one.
        DamagedArtefact: It is not what was written.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise ArtefactError(f"{str(path)!r} is missing: is this the right workspace?") from error
    return json_of(content, str(path), *names)


def json_of(content: bytes, told: str, *names: str) -> dict[str, Any]:
    """The object that the bytes of a JSON file stand for; as ``read_json``, of a file wherever it lies.

    Args:
        content: The whole file.
        told: Where it lies, for people.
        *names: What the object must hold.

    Raises:
        ArtefactError: It is not a JSON object, or another one.
        DamagedArtefact: It is not what was written.
    """
    try:
        value = json.loads(content.decode())
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ArtefactError(f"{told!r} is not readable JSON ({error}): restore or rebuild it.") from error
    if not isinstance(value, dict):
        raise ArtefactError(f"{told!r} must hold a JSON object, got {str(value)[:40]!r}: restore or rebuild it.")
    if _check(io.BytesIO(content), told):
        value.pop(SEAL, None)
    if missing := [name for name in names if name not in value]:
        raise ArtefactError(
            f"{told!r} must hold {missing[0]!r} and does not, so another file lies in its place: restore it "
            "from a backup, or rebuild it."
        )
    return value


def seal(path: Path) -> None:
    """Write the checksum of a finished file into the ``BLANK_SEAL`` that it holds.

    In a Parquet file and an archive of NumPy that is the last one there is, in every other file the first one: texts
    that a file keeps may hold the same characters.

    Raises:
        ValueError: It holds none.
    """
    with path.open("rb+") as handle:
        start = _find_digits(handle)
        if start is None:
            raise ValueError(f"{path} has no room for a seal")
        digest = _digest_without(handle, start)
        handle.seek(start)
        handle.write(digest)


def sealed(content: bytes) -> bytes:
    """``content`` with its checksum in the ``BLANK_SEAL`` that it holds."""
    handle = io.BytesIO(content)
    start = _find_digits(handle)
    if start is None:
        raise ValueError("there is no room for a seal")
    return content[:start] + _digest_without(handle, start) + content[start + _NUM_DIGITS :]


def check_seal(path: Path, remedy: str = RESTORE) -> bool:
    """Read a whole file and compare it with its seal; False if it has none.

    Raises:
        DamagedArtefact: It is not what was written.
        OSError: It cannot be read.
    """
    with path.open("rb") as handle:
        return _check(handle, path, remedy)


def check_file(path: Path, checksum: str | None = None, remedy: str = RESTORE) -> None:
    """Compare a file with its seal, or with a checksum; once per process as long as nobody writes the file.

    Args:
        path: A file that is read again and again.
        checksum: What was recorded of it elsewhere; None: it has a seal, or is from before there were seals.
        remedy: What a person can do if it is damaged.

    Raises:
        DamagedArtefact: It is not what was written.
        OSError: It cannot be read.
    """
    stamp = stamp_of(path)
    if _CHECKED.get((path, checksum)) == stamp:
        return
    if checksum is None:
        check_seal(path, remedy)
    elif checksum_of_file(path) != checksum:
        raise _damaged(path, remedy)
    _CHECKED[path, checksum] = stamp


def stamp_of(path: Path) -> Stamp:
    """What tells a file from the same file after a write."""
    found = path.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _check(handle: io.BufferedIOBase, told: Path | str, remedy: str = RESTORE) -> bool:
    start = _find_digits(handle)
    if start is None:
        return False
    handle.seek(start)
    if handle.read(_NUM_DIGITS) != _digest_without(handle, start):
        raise _damaged(told, remedy)
    return True


def _damaged(told: Path | str, remedy: str) -> DamagedArtefact:
    return DamagedArtefact(
        f"{str(told)!r} is not what was written: the file is damaged, or something else changed it. {remedy}"
    )


def _find_digits(handle: io.BufferedIOBase) -> int | None:
    """Where the digits of a seal stand, by either end of it; None for a file that has none."""
    handle.seek(0)
    is_footed = handle.read(4).startswith(_FOOTED)
    last_begin = max(0, handle.seek(0, os.SEEK_END) - CHUNK_BYTES)
    for begin in (last_begin, 0) if is_footed else (0, last_begin):
        handle.seek(begin)
        block = handle.read(CHUNK_BYTES)
        find = block.rfind if is_footed else block.find
        if (head := find(_HEAD)) >= 0:
            return begin + head + len(_HEAD)
        if (tail := find(_TAIL)) >= _NUM_DIGITS:
            return begin + tail - _NUM_DIGITS
    return None


def _digest_without(handle: io.BufferedIOBase, start: int) -> bytes:
    """Checksum of all bytes, with zeros as the digits that begin at ``start``."""
    digest = start_hash()
    handle.seek(0)
    position = 0
    while block := handle.read(CHUNK_BYTES):
        first, last = max(0, start - position), min(len(block), start + _NUM_DIGITS - position)
        if first < last:
            block = block[:first] + b"0" * (last - first) + block[last:]
        digest.update(block)
        position += len(block)
    return digest.hexdigest().encode()


def start_hash(content: bytes | memoryview = b"") -> "xxhash.xxh3_128":
    """XXH3-128 of ``content``, to which more can be added.

    Raises:
        ConfigError: The package xxhash is not installed.
    """
    try:
        import xxhash  # not at the top: what only computes must import without it (docs/decisions/0021)
    except ImportError as error:
        raise ConfigError(
            "checksums and fingerprints need the package xxhash, which is not installed. Run `pip install xxhash`."
        ) from error
    return xxhash.xxh3_128(content)


def checksum_of_file(path: Path) -> str:
    """XXH3-128 of a file's bytes, as 32 hexadecimal digits."""
    digest = start_hash()
    with path.open("rb", buffering=0) as handle:
        while block := handle.read(CHUNK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def fingerprint_of_files(paths: list[Path]) -> str:
    """Hash of the names and contents of files, independent of their order and folder."""
    return fingerprint_of_value({path.name: checksum_of_file(path) for path in sorted(paths)})


def fingerprint_of_value(value: Any) -> str:
    """Hash of a JSON-serialisable value, independent of the order of its keys."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return start_hash(text.encode()).hexdigest()
