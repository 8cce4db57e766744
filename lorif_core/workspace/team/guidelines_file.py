"""Guidelines that lie in a file."""

from pathlib import Path

from lorif_core.errors import DataError
from lorif_core.plain_files import refuse_special
from lorif_core.system_failures import what_failed


def read_guidelines(path: Path) -> str:
    """The Markdown in a file.

    Raises:
        DataError: It cannot be read, or is not UTF-8.
    """
    refuse_special(path)
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{str(path)!r} is not UTF-8 (byte {error.start + 1:,}): convert it.") from error
    except OSError as error:
        raise DataError(f"the guidelines {str(path)!r} cannot be read {what_failed(error)}.") from error
