"""Where the files of an index lie: in a folder of this machine, or below a prefix of an object store.

``Place`` is all that an index asks of either. Files are named by paths below the place, such as ``parts/00042.json``.
Most are created once and never changed (``create``: of several writers, wherever they are, the first one wins); what
a fit makes anew is replaced whole. Nobody who reads or writes an index knows which kind of place it is in.
"""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor

    from lorif_core.shapes import UInt8


READS_OF_DAMAGED = 3
"""How often a file is read that is not what was written: a network may have lost a part of it on the way."""


class Listed(NamedTuple):
    """What a listing says of a file."""

    size_bytes: int
    modified: float
    """When it was written, in seconds since 1970 by the clock of the place."""


@runtime_checkable
class Place(Protocol):
    """Files of one index."""

    @property
    def name(self) -> str:
        """The last part of where it lies: the id of the index."""
        ...

    @property
    def num_ahead(self) -> int:
        """Files that are worth reading at once, before they are needed."""
        ...

    @property
    def reads_in_parts(self) -> bool:
        """Whether whoever needs a part of a file's content reads no more than that; else every file is read whole."""
        ...

    def told(self, name: str = "") -> str:
        """Where it lies, or a file of it, for people."""
        ...

    def read(self, name: str) -> bytes:
        """A whole file.

        Raises:
            FileNotFoundError: It is not there.
        """
        ...

    def read_range(self, name: str, start: int, stop: int) -> bytes:
        """The bytes of a file from ``start`` to before ``stop``, all of which it has.

        Raises:
            FileNotFoundError: It is not there.
            EOFError: It is shorter.
        """
        ...

    def content(self, name: str, checksum: str) -> "UInt8[Tensor, ' size']":
        """A whole file that is what was written; mapped into memory where that can be done.

        Args:
            name: Of the file.
            checksum: XXH3-128 of its bytes.

        Raises:
            FileNotFoundError: It is not there.
            DamagedArtefact: It is not what was written.
        """
        ...

    def mapped_from(self, name: str) -> Path | None:
        """The file on this machine that ``content`` maps; None: it is read."""
        ...

    def create(self, name: str, content: bytes) -> bytes:
        """Create a file unless there is one, and return what it holds now.

        Raises:
            ResourceError: There is no room.
        """
        ...

    def replace(self, name: str, content: bytes) -> None:
        """Write a file, in place of the one that may be there; readers see one or the other, whole.

        Raises:
            ResourceError: There is no room.
        """
        ...

    def listed(self, folder: str = "") -> dict[str, Listed]:
        """Every finished file below a folder of the place, by name, in the order of names."""
        ...

    def has(self, name: str) -> bool:
        """Whether a file is there."""
        ...

    def delete(self, name: str) -> None:
        """Delete a file if it is there."""
        ...

    def sweep(self) -> None:
        """Delete what killed writers of ``create`` left; safe at any moment, also beside writers."""
        ...

    def sweep_partials(self) -> None:
        """Delete what killed writers of ``replace`` left; safe for the only builder of an index."""
        ...
