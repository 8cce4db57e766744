"""The place of an index from the location that the catalog keeps."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from lorif_core.storage_location import OBJECT_STORES, is_folder
from lorif_core.store.kept_contents import KeptContents, bytes_to_keep
from lorif_core.store.local_place import LocalPlace
from lorif_core.store.object_place import ObjectPlace, Objects
from lorif_core.store.place import Place


def _by_obstore(storage: str) -> Objects:
    from lorif_core.store.obstore_objects import ObstoreObjects  # the package is not needed without an object store

    return ObstoreObjects(storage)


CLIENTS: dict[str, Callable[[str], Objects]] = dict.fromkeys(OBJECT_STORES, _by_obstore)
"""Who speaks to the object stores of each scheme."""


def open_place(storage: str, index_id: str) -> Place:
    """Where the files of an index lie that is stored below a location.

    Args:
        storage: A location as ``plain_location`` spells it.
        index_id: Of the index.

    Raises:
        ConfigError: The package that speaks to object stores is not installed, or the environment is wrong.
    """
    if is_folder(storage):
        return LocalPlace(Path(storage) / index_id)
    return ObjectPlace(_objects(storage), storage, index_id, kept=_kept(bytes_to_keep()))


@lru_cache(maxsize=1)
def _kept(most_bytes: int) -> KeptContents:
    """What this process keeps of all object stores together."""
    return KeptContents(most_bytes)


@lru_cache(maxsize=16)
def _objects(storage: str) -> Objects:
    """One client per location and process: it keeps connections open, and what is kept in memory alive."""
    return CLIENTS[storage.partition("://")[0]](storage)
