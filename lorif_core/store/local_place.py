"""An index in a folder of this machine, or of a disk that machines share."""

from pathlib import Path
from typing import TYPE_CHECKING

from lorif_core.errors import ArtefactError, DamagedArtefact
from lorif_core.files import PARTIAL, UNFINISHED, checksum_of_file, put_if_absent, replace_file
from lorif_core.store.place import Listed

if TYPE_CHECKING:
    from torch import Tensor

    from lorif_core.shapes import UInt8

REMEDY = (
    "Run `lorif doctor WORKSPACE` to see every damaged file; with `--repair` it makes again what can be made, "
    "or says how."
)


class LocalPlace:
    """A folder. Files are created by a hard link of a finished temporary file, and read by mapping them."""

    num_ahead = 1
    reads_in_parts = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._checked: set[tuple[str, str]] = set()

    @property
    def name(self) -> str:
        """Of the folder."""
        return self.folder.name

    def told(self, name: str = "") -> str:
        """The path."""
        return str(self.folder / name)

    def read(self, name: str) -> bytes:
        """A whole file; ``Place.read`` says what for."""
        return (self.folder / name).read_bytes()

    def read_range(self, name: str, start: int, stop: int) -> bytes:
        """Some bytes of a file."""
        with (self.folder / name).open("rb") as handle:
            handle.seek(start)
            found = handle.read(stop - start)
        if len(found) != stop - start:
            raise EOFError(f"{self.told(name)} has no {stop - start:,} bytes at {start:,}")
        return found

    def content(self, name: str, checksum: str) -> "UInt8[Tensor, ' size']":
        """A file mapped into memory; writing to it changes no file. It is compared with its checksum once."""
        import torch

        self.check(name, checksum)
        path = self.folder / name
        size = path.stat().st_size
        if not size:
            return torch.empty(0, dtype=torch.uint8)
        # Not Python's own mmap: it would keep a file open for as long as any of its tensors lives.
        return torch.from_file(str(path), shared=False, size=size, dtype=torch.uint8)

    def check(self, name: str, checksum: str) -> None:
        """Compare a file with its checksum, unless it was.

        Raises:
            DamagedArtefact: The bytes differ.
            ArtefactError: The file is missing.
        """
        if (name, checksum) not in self._checked:
            verify_file(self.folder / name, checksum)
            self._checked.add((name, checksum))

    def mapped_from(self, name: str) -> Path | None:
        """The file itself."""
        return self.folder / name

    def create(self, name: str, content: bytes) -> bytes:
        """Link a finished file to the name if that is free."""
        return put_if_absent(self.folder / name, content)

    def replace(self, name: str, content: bytes) -> None:
        """Rename a finished file to the name."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with replace_file(path) as partial:
            partial.write_bytes(content)

    def listed(self, folder: str = "") -> dict[str, Listed]:
        """Every finished file below a folder; none where there is no folder."""
        found: dict[str, Listed] = {}
        for path in (self.folder / folder).rglob("*"):
            if path.name.startswith(".") or not path.is_file():
                continue
            status = path.stat()
            found[path.relative_to(self.folder).as_posix()] = Listed(status.st_size, status.st_mtime)
        return dict(sorted(found.items()))

    def has(self, name: str) -> bool:
        """Whether a file is there."""
        return (self.folder / name).exists()

    def delete(self, name: str) -> None:
        """Delete a file if it is there."""
        (self.folder / name).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Delete files that no writer linked."""
        for path in self.folder.rglob(f".*{UNFINISHED}"):
            path.unlink(missing_ok=True)

    def sweep_partials(self) -> None:
        """Delete files that no writer renamed; safe for the only builder of an index."""
        for path in (*self.folder.glob(f".*{PARTIAL}"), *self.folder.glob(f"[!.]*/.*{PARTIAL}")):
            path.unlink(missing_ok=True)


def verify_file(path: Path, checksum: str) -> None:
    """Compare a file with its recorded checksum.

    Raises:
        DamagedArtefact: The bytes differ.
        ArtefactError: The file is missing.
    """
    try:
        found = checksum_of_file(path)
    except FileNotFoundError as error:
        raise missing(str(path)) from error
    if found != checksum:
        raise damaged(str(path), found, checksum)


def missing(told: str) -> ArtefactError:
    """That a file which an index names is not there."""
    return ArtefactError(f"{told!r} is missing. {REMEDY}")


def damaged(told: str, found: str, checksum: str) -> DamagedArtefact:
    """That a file is not what was written: by its checksum, and the one that was recorded."""
    return DamagedArtefact(
        f"{told!r} is damaged: its checksum is {found[:8]}…, recorded was {checksum[:8]}…. {REMEDY}"
    )
