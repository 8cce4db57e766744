"""Files that never half-exist, and hashes that name their content.

Every artefact is written beside its final name, flushed to the disk and renamed, so a
reader sees the old file or the new one. Fingerprints identify inputs (data, models,
settings); checksums find damage. Both are XXH3-128: damage and mix-ups are what they
guard against, not an adversary.
"""

import errno
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorif_core.errors import ArtefactError, ConfigError, ResourceError

if TYPE_CHECKING:
    import xxhash

CHUNK_BYTES = 1 << 22

UNFINISHED = ".unfinished"
"""What the name of a file ends in until ``put_if_absent`` links it. Such files may be deleted at any time."""

_MOST_SWEEPS = 10
"""How often in a row a file may be deleted under a writer before that is an error."""


@contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path that becomes ``path`` when the block ends without an error.

    Raises:
        ResourceError: The disk is full. Nothing is left behind under either name.
    """
    partial = path.with_name(f".{path.name}.partial")
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


def disk_full_message(path: Path) -> str:
    """Say that the disk of ``path`` is full and what to do."""
    return (
        f"the disk that holds {str(path.parent)!r} is full while writing {path.name!r}: what was finished is "
        "kept. Free some space and run the same command again; it resumes."
    )


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
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex}{UNFINISHED}")
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


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as readable JSON, atomically."""
    with replace_file(path) as partial:
        partial.write_bytes(_json_bytes(value))


def put_json(path: Path, value: Any) -> dict[str, Any]:
    """Create a JSON file unless there is one, and return the object that it holds now; see ``put_if_absent``."""
    put_if_absent(path, _json_bytes(value))
    return read_json(path)


def _json_bytes(value: Any) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()


def read_json(path: Path) -> dict[str, Any]:
    """Object of a JSON file.

    Raises:
        ArtefactError: The file is missing, or not a JSON object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ArtefactError(f"{str(path)!r} is missing: is this the right workspace?") from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ArtefactError(f"{str(path)!r} is not readable JSON ({error}): restore or rebuild it.") from error
    if not isinstance(value, dict):
        raise ArtefactError(f"{str(path)!r} must hold a JSON object, got {str(value)[:40]!r}: restore or rebuild it.")
    return value


def start_hash(content: bytes = b"") -> "xxhash.xxh3_128":
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
