"""JSON files of an index, with their seals, wherever the index lies."""

from pathlib import Path
from typing import Any

from lorif_core.errors import ArtefactError
from lorif_core.files import json_bytes, json_of
from lorif_core.store.local_place import LocalPlace
from lorif_core.store.place import READS_OF_DAMAGED, Place

Folder = Path | Place
"""Where an index lies: a place, or its folder on this machine."""


def place_at(folder: Folder) -> Place:
    """The place itself, or that of a folder of this machine."""
    return LocalPlace(folder) if isinstance(folder, Path) else folder


def read_json_at(place: Place, name: str) -> dict[str, Any]:
    """Object of a JSON file, without its seal.

    A file that is not what was written is read again: it may have been cut on its way.

    Raises:
        ArtefactError: The file is missing, or not a JSON object.
        DamagedArtefact: It is not what was written.
    """
    for attempt in range(READS_OF_DAMAGED):
        try:
            return json_of(place.read(name), place.told(name))
        except FileNotFoundError as error:
            raise ArtefactError(f"{place.told(name)!r} is missing: is this the right workspace?") from error
        except ArtefactError:
            if attempt == READS_OF_DAMAGED - 1:
                raise
    raise AssertionError("the last attempt returns or raises")


def put_json_at(place: Place, name: str, value: dict[str, Any]) -> dict[str, Any]:
    """Create a JSON file unless there is one, and return the object that it holds now; see ``Place.create``."""
    return json_of(place.create(name, json_bytes(value)), place.told(name))


def replace_json_at(place: Place, name: str, value: dict[str, Any]) -> None:
    """Write a JSON file, in place of the one that may be there."""
    place.replace(name, json_bytes(value))
