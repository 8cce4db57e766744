"""Files that people name: what is no file, and what would grow beyond all measure when it is unpacked, is refused.

Limits are chosen so that no data set that people train on meets them (docs/decisions/0032).
"""

import math
import stat
import sys
import zipfile
from pathlib import Path

from lorif_core.errors import DataError

MOST_TIMES = 200
"""A compressed file may hold this many times its own size. Texts come to 3 to 20, logs that repeat to 100."""

ALWAYS_BYTES = 1 << 30
"""A compressed file may hold so much whatever its size."""

MAX_LINE_BYTES = 256 << 20
"""The longest line, cell, text or value of an array; longer ones are bad rows."""

_KINDS = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def refuse_special(path: Path) -> None:
    """Refuse a pipe, a socket or a device: opening one may wait for ever, and files are read more than once.

    Raises:
        DataError: The path names one.
    """
    try:
        mode = path.stat().st_mode
    except OSError:
        return  # what opens it says what is wrong
    found = next((name for is_it, name in _KINDS if is_it(mode)), None)
    if found is not None:
        raise DataError(
            f"what is read must be a file, because it is read more than once; {str(path)!r} is {found}: write what "
            "comes out of it to a file, and name that."
        )


def require_folder_of(out: Path) -> None:
    """Refuse a file to write where there is no folder for it.

    Raises:
        DataError: There is none.
    """
    if not out.parent.is_dir():
        raise DataError(f"folder {str(out.parent)!r} does not exist. Create it, or choose another `--out`.")


def most_bytes(path: Path, said_gb: float | None = None) -> int:
    """How many bytes a compressed file may hold.

    Args:
        path: The file.
        said_gb: What a person allows; None: by the file's size.
    """
    if said_gb is not None:
        return sys.maxsize if math.isinf(said_gb) else int(said_gb * 1e9)
    return max(ALWAYS_BYTES, MOST_TIMES * path.stat().st_size)


def too_much(path: Path, most: int) -> DataError:
    """The refusal of a file that holds more than it may."""
    return DataError(
        f"a compressed file may hold {most / 1e9:,.1f} GB ({MOST_TIMES} times its size, but always "
        f"{ALWAYS_BYTES / 1e9:,.1f} GB), {str(path)!r} holds more, as files do that were made to fill a disk: "
        "if you trust it, unpack it yourself, or pass `--max-decompressed-gb` to `lorif import`."
    )


def refuse_large_archive(path: Path) -> None:
    """Refuse a zip archive, such as .npz, whose files together say that they hold more than they may.

    Raises:
        DataError: They do.
    """
    refuse_special(path)
    with zipfile.ZipFile(path) as archive:
        size = sum(one.file_size for one in archive.infolist())
    if size > (most := most_bytes(path)):
        raise too_much(path, most)
