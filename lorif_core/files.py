"""Files that never half-exist, and hashes that name their content.

Every artefact is written beside its final name, flushed to the disk and renamed, so a
reader sees the old file or the new one. Fingerprints identify inputs (data, models,
settings); checksums find damage. Both are XXH3-128: damage and mix-ups are what they
guard against, not an adversary.
"""

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import xxhash

from lorif_core.errors import ArtefactError, ResourceError

CHUNK_BYTES = 1 << 22


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


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as readable JSON, atomically."""
    with replace_file(path) as partial:
        partial.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


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


def checksum_of_file(path: Path) -> str:
    """XXH3-128 of a file's bytes, as 32 hexadecimal digits."""
    digest = xxhash.xxh3_128()
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
    return xxhash.xxh3_128_hexdigest(text.encode())
