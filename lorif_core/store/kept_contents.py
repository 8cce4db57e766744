"""What was read of object stores and stays in memory, as files stay in the page cache: as much as a person says.

Contents are known by their checksums, so what was built anew or copied elsewhere is never taken for something else.
"""

import os
from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING

from lorif_core.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

    from lorif_core.shapes import UInt8

VARIABLE = "LORIF_STORE_CACHE_GB"
"""How much a process may keep; nothing where it is not set."""


class KeptContents:
    """Whole files, of which those go that were asked for longest ago."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._kept: OrderedDict[str, Tensor] = OrderedDict()
        self._lock = Lock()

    @property
    def size_bytes(self) -> int:
        """Of all that is kept."""
        return sum(map(len, self._kept.values()))

    def find(self, checksum: str) -> "UInt8[Tensor, ' size'] | None":
        """The file with that checksum; None where it is not kept."""
        with self._lock:
            found = self._kept.get(checksum)
            if found is not None:
                self._kept.move_to_end(checksum)
            return found

    def keep(self, checksum: str, content: "UInt8[Tensor, ' size']") -> None:
        """Keep a file if there is room for it, and let others go."""
        if len(content) > self._most_bytes:
            return
        with self._lock:
            self._kept[checksum] = content
            self._kept.move_to_end(checksum)
            while self.size_bytes > self._most_bytes:
                self._kept.popitem(last=False)

    def forget(self, checksum: str) -> None:
        """Let a file go."""
        with self._lock:
            self._kept.pop(checksum, None)


def bytes_to_keep() -> int:
    """What the environment lets a process keep.

    Raises:
        ConfigError: It says no number.
    """
    said = os.environ.get(VARIABLE) or "0"
    try:
        number = float(said)
    except ValueError:
        number = -1.0
    if not 0 <= number < 1e6:
        raise ConfigError(f"{VARIABLE} is a number of gigabytes, such as 8, got {said!r}.")
    return int(number * 1e9)
