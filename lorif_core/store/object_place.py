"""An index below a prefix of an object store: what a disk does by itself is done here by asking again.

A put is whole or not at all, and lasting once it was answered. ``create`` is a put on the condition that nothing is
there (``If-None-Match: *``); where the answer to one is lost and it is sent again, the second finds what the first
left, and what is read back are the own bytes. An answer that was cut on its way is noticed by its length, and by the
checksum or seal of what it should be, and asked for again.
"""

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar, runtime_checkable

from lorif_core.errors import ResourceError
from lorif_core.files import start_hash
from lorif_core.store.kept_contents import KeptContents
from lorif_core.store.local_place import damaged
from lorif_core.store.place import READS_OF_DAMAGED, Listed

if TYPE_CHECKING:
    from torch import Tensor

    from lorif_core.shapes import UInt8

Found = TypeVar("Found")

ATTEMPTS = 6
"""How often something is asked for before it is given up; a client may have tried each of them several times."""

FIRST_WAIT_S, LONGEST_WAIT_S = 0.05, 10.0
"""Between attempts: twice as long every time, and up to half of it less by chance, so that workers spread out."""


class Unanswered(OSError):
    """An object store did not answer as it should; asking again may help."""


class Got(NamedTuple):
    """What was read of an object."""

    content: bytes
    size_bytes: int
    """What was to be read; more than ``content`` has where the answer was cut."""


@runtime_checkable
class Objects(Protocol):
    """What is asked of an object store; every method may raise ``Unanswered``."""

    def get(self, path: str) -> Got:
        """A whole object; ``FileNotFoundError`` where there is none."""
        ...

    def get_range(self, path: str, start: int, stop: int) -> bytes:
        """Some bytes of an object; ``FileNotFoundError`` where there is none."""
        ...

    def put_new(self, path: str, content: bytes) -> bool:
        """Put an object unless there is one; whether there was none."""
        ...

    def put(self, path: str, content: bytes) -> None:
        """Put an object, whatever is there."""
        ...

    def listed(self, prefix: str) -> dict[str, Listed]:
        """Every object below a prefix, which ends where a part of a path does."""
        ...

    def has(self, path: str) -> bool:
        """Whether there is an object."""
        ...

    def delete(self, path: str) -> None:
        """Delete an object if it is there."""
        ...


class ObjectPlace:
    """Files of an index as objects."""

    num_ahead = 4
    reads_in_parts = False  # a part of an object could not be compared with a checksum

    def __init__(
        self,
        objects: Objects,
        storage: str,
        index_id: str,
        wait: Callable[[float], None] = time.sleep,
        kept: KeptContents | None = None,
    ) -> None:
        self._objects, self._storage, self._index_id, self._wait = objects, storage, index_id, wait
        self._kept = kept or KeptContents(0)

    @property
    def name(self) -> str:
        """The id of the index."""
        return self._index_id

    def told(self, name: str = "") -> str:
        """The URL, which holds nothing secret."""
        return f"{self._storage}/{self._path(name)}"

    def read(self, name: str) -> bytes:
        """A whole object; read again where the answer was cut."""

        def whole() -> bytes:
            got = self._objects.get(self._path(name))
            if len(got.content) != got.size_bytes:
                raise Unanswered(f"{len(got.content):,} of {got.size_bytes:,} bytes came")
            return got.content

        return self._ask(name, whole)

    def read_range(self, name: str, start: int, stop: int) -> bytes:
        """Some bytes of an object; read again where the answer was cut."""

        def some() -> bytes:
            content = self._objects.get_range(self._path(name), start, stop)
            if len(content) != stop - start:
                raise Unanswered(f"{len(content):,} of {stop - start:,} bytes came")
            return content

        return self._ask(name, some) if stop > start else b""

    def content(self, name: str, checksum: str) -> "UInt8[Tensor, ' size']":
        """A whole object in memory, compared with its checksum every time it is asked for."""
        import torch

        kept = self._kept.find(checksum)
        if kept is not None:
            if start_hash(kept.numpy().data).hexdigest() == checksum:
                return kept
            self._kept.forget(checksum)  # somebody wrote into it
        found = ""
        for _ in range(READS_OF_DAMAGED):
            content = self.read(name)
            found = start_hash(content).hexdigest()
            if found == checksum:
                own = (
                    torch.frombuffer(bytearray(content), dtype=torch.uint8)
                    if content
                    else torch.empty(0, dtype=torch.uint8)
                )
                self._kept.keep(checksum, own)
                return own
        raise damaged(self.told(name), found, checksum)

    def mapped_from(self, name: str) -> Path | None:
        """None: objects are read."""
        return None

    def create(self, name: str, content: bytes) -> bytes:
        """Put an object unless there is one, and return the one that is there now."""

        def put_or_read() -> bytes:
            if self._objects.put_new(self._path(name), content):
                return content
            try:
                return self.read(name)
            except FileNotFoundError as error:  # it is being put right now, or was deleted at once
                raise Unanswered("an object is there and cannot be read yet") from error

        return self._ask(name, put_or_read)

    def replace(self, name: str, content: bytes) -> None:
        """Put an object, in place of the one that may be there."""
        self._ask(name, lambda: self._objects.put(self._path(name), content))

    def listed(self, folder: str = "") -> dict[str, Listed]:
        """Every object below a folder; none where there is no folder."""
        found = self._ask(folder, lambda: self._objects.listed(self._path(folder)))
        start = len(self._index_id) + 1
        return {path[start:]: found[path] for path in sorted(found)}

    def has(self, name: str) -> bool:
        """Whether an object is there."""
        return self._ask(name, lambda: self._objects.has(self._path(name)))

    def delete(self, name: str) -> None:
        """Delete an object if it is there."""
        self._ask(name, lambda: self._objects.delete(self._path(name)))

    def sweep(self) -> None:
        """A put that was cut off leaves nothing that is listed."""

    def sweep_partials(self) -> None:
        """As ``sweep``."""

    def _path(self, name: str) -> str:
        return f"{self._index_id}/{name}" if name else self._index_id

    def _ask(self, name: str, work: Callable[[], Found]) -> Found:
        for attempt in range(ATTEMPTS):
            try:
                return work()
            except Unanswered as error:
                if attempt == ATTEMPTS - 1:
                    raise ResourceError(
                        f"{self.told(name)!r} must be reached, and {ATTEMPTS} times it was not ({error}): check the "
                        "network and the store, and run the same command again; what is finished is kept."
                    ) from error
                self._wait(min(FIRST_WAIT_S * 2**attempt, LONGEST_WAIT_S) * random.uniform(0.5, 1))
        raise AssertionError("the last attempt returns or raises")
