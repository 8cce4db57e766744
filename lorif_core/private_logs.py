"""Logs of defects and of what runs in the background: for their owner alone, never through a link, and bounded.

A traceback may quote training text. A name in the shared temporary folder would let others read it, or put a link
there that makes it overwrite a file of the person.
"""

import os
import sys
import uuid
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

MAX_LOG_BYTES = 256 << 10
"""Of the report of one defect; of a longer one the beginning and the end are kept."""

MAX_REPORTS = 20
"""Reports that are kept; older ones are removed."""

LARGEST_LOG_BYTES = 16 << 20
"""At which a log that grows begins anew; what it held is kept once, beside it."""

_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_REPORT = "defect-"


def state_folder() -> Path:
    """Where programs keep what is of this user and this machine: ``XDG_STATE_HOME``, or the platform's place."""
    given = os.environ.get("XDG_STATE_HOME", "")
    if given and Path(given).is_absolute():  # a relative one is to be ignored, says the standard
        return Path(given) / "lorif"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "lorif"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "lorif"
    return Path.home() / ".local" / "state" / "lorif"


def write_report(text: str, folder: Path | None = None) -> Path:
    """Keep the report of a defect in a file of its own.

    Args:
        text: What is kept.
        folder: Made for its owner alone if it is not there; None: the state folder of the user.

    Raises:
        OSError: The folder cannot be written, is a link, or belongs to somebody else.
    """
    folder = folder or state_folder()
    _make_private(folder)
    name = f"{_REPORT}{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}.log"
    number = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK, 0o600)
    with os.fdopen(number, "wb") as handle:
        handle.write(_bounded(text.encode("utf-8", "backslashreplace")))
    for old in sorted(folder.glob(f"{_REPORT}*.log"))[:-MAX_REPORTS]:
        with suppress(OSError):  # another process may have removed it
            old.unlink()
    return folder / name


def open_log(path: Path, largest: int = LARGEST_LOG_BYTES) -> int:
    """A descriptor that appends to a log, which is made for its owner alone; a large one begins anew.

    Args:
        path: The log.
        largest: Bytes at which it does.

    Raises:
        OSError: It cannot be written, or is a link.
    """
    with suppress(FileNotFoundError):
        if path.lstat().st_size > largest:
            path.replace(path.with_name(f"{path.name}.old"))
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | _NO_LINK, 0o600)


def _make_private(folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if folder.is_symlink() or not folder.is_dir() or (hasattr(os, "geteuid") and found.st_uid != os.geteuid()):
        raise NotADirectoryError(f"{str(folder)!r} is no folder of this user")
    if found.st_mode & 0o077:
        folder.chmod(0o700)


def _bounded(content: bytes) -> bytes:
    if len(content) <= MAX_LOG_BYTES:
        return content
    half = MAX_LOG_BYTES // 2 - 20
    return content[:half] + b"\n[... left out ...]\n" + content[-half:]
