"""Check an export: every file is what its manifest says, and every example is in one of its lists."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import xxhash

from lorif_core.data.export_places import MANIFEST_FILE, about_folders, recover
from lorif_core.data.exporting import count_rows
from lorif_core.errors import ArtefactError, DamagedArtefact
from lorif_core.files import check_file, checksum_of_file
from lorif_core.workspace.curation.export_recipe import EXCLUDED_FILE, KEPT_FILE
from lorif_core.workspace.curation.export_records import iter_entries, json_line, read_manifest


def verify_export(path: Path) -> dict[str, Any]:
    """Read all files of an export, and compare them with its manifest.

    The data have the hashes and the number of rows that the manifest says; every example of the data set is in one
    of the two lists, and in one only.

    Args:
        path: The exported file or folder, its manifest, or the folder of it.

    Returns:
        The manifest.

    Raises:
        ArtefactError: There is no export, or it is from a newer version.
        DamagedArtefact: A file differs from the manifest.
    """
    recover(path)
    return check_export(_find_about(path))


def check_export(about: Path) -> dict[str, Any]:
    """The same of an export whose manifest is in the folder ``about``; touches nothing.

    Raises:
        ArtefactError: There is no manifest, or it is from a newer version.
        DamagedArtefact: A file differs from the manifest.
    """
    manifest = read_manifest(about)
    try:
        data = check_files(about, manifest)
        _check_lists(about, manifest)
        _check_num_rows(data[0], manifest["settings"]["format"], manifest["counts"]["kept"])
    except (KeyError, TypeError, ValueError) as error:
        raise ArtefactError(
            f"{str(about / MANIFEST_FILE)!r} is not the manifest of an export ({error!r})."
        ) from error
    return manifest


def check_files(about: Path, manifest: Mapping[str, Any]) -> list[Path]:
    """Compare every file of an export with its checksum, once per process; returns those with the data.

    Raises:
        DamagedArtefact: A file differs from the manifest, or is missing.
    """
    data = data_files(about, manifest)
    described = [*zip(data, manifest["data"], strict=True)]
    described += [(about / entry["name"], entry) for entry in manifest["files"]]
    for file, entry in described:
        _check_file(file, entry["checksum"])
    return data


def _find_about(path: Path) -> Path:
    if path.name == MANIFEST_FILE:
        return path.parent
    if (path / MANIFEST_FILE).is_file():
        return path
    candidates = about_folders(path)
    if not path.is_file() or not candidates:
        raise ArtefactError(
            f"{str(path)!r} is not an export, or what was written beside it is missing: export again."
        )
    checksum = checksum_of_file(path)
    for folder in candidates:
        if [entry.get("checksum") for entry in read_manifest(folder).get("data", [])] == [checksum]:
            return folder
    raise DamagedArtefact(f"{str(path)!r} was changed since it was exported: export the data again.")


def data_files(about: Path, manifest: Mapping[str, Any]) -> list[Path]:
    """Where the data of an export lie, whose manifest is in the folder ``about``."""
    name = about.name.removesuffix(f".export-{manifest['export_id']}")
    if name != about.name:
        return [about.with_name(name)]
    return [about / entry["name"] for entry in manifest["data"]]


def _check_file(path: Path, checksum: str) -> None:
    if not path.is_file():
        raise DamagedArtefact(f"{str(path)!r} is missing: export the data again, or restore it from a backup.")
    check_file(path, checksum, "Export the data again, or restore it from a backup.")


def _check_lists(about: Path, manifest: Mapping[str, Any]) -> None:
    ids: set[str] = set()
    digest = xxhash.xxh3_128()
    counts = {"kept": 0, "excluded": 0}
    for name, train_id in _merged(about):
        ids.add(train_id)
        digest.update(json_line(train_id))
        counts[name] += 1
    expected = {name: manifest["counts"][name] for name in counts}
    if (
        counts != expected
        or len(ids) != manifest["counts"]["input"]
        or sum(counts.values()) != len(ids)
        or digest.hexdigest() != manifest["ids_checksum"]
    ):
        raise DamagedArtefact(
            f"the lists in {str(about)!r} must hold every text of the data set once, they do not: export the data "
            "again."
        )


def _merged(about: Path) -> Iterator[tuple[str, str]]:
    """Name of the list and id of every entry of both lists, in the order of the data set."""
    excluded = iter_entries(about / EXCLUDED_FILE)
    row, waiting = 0, next(excluded, None)
    for entry in iter_entries(about / KEPT_FILE):
        while waiting is not None and waiting.get("row") == row:
            yield "excluded", waiting["id"]
            row, waiting = row + 1, next(excluded, None)
        yield "kept", entry["id"]
        row += 1
    while waiting is not None and waiting.get("row") == row:
        yield "excluded", waiting["id"]
        row, waiting = row + 1, next(excluded, None)


def _check_num_rows(path: Path, file_format: str, expected: int) -> None:
    found = count_rows(path, file_format)
    if found != expected:
        raise DamagedArtefact(f"{str(path)!r} holds {found:,} texts, its manifest says {expected:,}: export again.")
