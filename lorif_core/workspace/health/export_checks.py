"""Exports and frozen versions: every file is what its manifest says, every version has its export."""

import json
import re
from pathlib import Path
from typing import Any

from lorif_core.errors import ArtefactError, DamagedArtefact
from lorif_core.workspace.curation.export_recipe import EXCLUDED_FILE, KEPT_FILE, RECIPE_FILE
from lorif_core.workspace.curation.export_records import read_manifest
from lorif_core.workspace.curation.export_verifying import check_export, data_files
from lorif_core.workspace.curation.versions import COPIES, FrozenVersion, export_folder, lost_records, read_version
from lorif_core.workspace.health.examination import Examination
from lorif_core.workspace.health.file_kind import RESTORE
from lorif_core.workspace.health.findings import Finding

MANIFEST = "manifest.json"
EXPORT_ID = re.compile(r"(?:.*\.export-)?([0-9a-f]{12})")
LISTS = (RECIPE_FILE, KEPT_FILE, EXCLUDED_FILE)
VERSIONS = "exports/versions"
WRITABLE = 0o222


def check_exports(look: Examination) -> None:
    """Every export of the workspace, then the frozen versions that name some of them."""
    known: set[str] = set()
    for path in look.below("exports"):
        if path.endswith(f"/{MANIFEST}") and not _is_hidden(path):
            known |= _check_export(look, path)
        elif path.split("/")[2:3] == [COPIES]:
            look.check(path, read_version, artefact=path.split("/")[1])
            known.add(path)
    frozen = _check_versions(look)
    exports = {path.split("/")[1] for path in look.below("exports") if path.count("/") > 1}
    for folder in sorted(exports - {"versions"}):
        _check_manifest_is_there(look, folder, is_frozen=folder in frozen)
        if folder not in frozen and not any((one.path or "").startswith(VERSIONS) for one in look.findings):
            _check_is_no_version(look, folder)
    for path in look.below("exports"):
        if path not in known and not path.startswith(f"{VERSIONS}/") and not _is_hidden(path):
            look.on_file(path)
            if not _is_explained(look, path):
                look.report(path, f"{path!r} is named by no export's manifest.", "note")


def _is_hidden(path: str) -> bool:
    return "/." in path


def _is_explained(look: Examination, path: str) -> bool:
    """Whether the folder of a file has a finding already."""
    folder = "/".join(path.split("/")[:2])
    return any((one.path or "").startswith(folder) for one in look.findings)


def _check_export(look: Examination, path: str) -> set[str]:
    """Check an export by its manifest; the files that are known by it."""
    about = Path(path).parent
    named = _named(look, path)

    def check(place: Path) -> None:
        told, own = EXPORT_ID.fullmatch(about.name), read_manifest(place.parent)["export_id"]
        if told is not None and told[1] != own:
            raise DamagedArtefact(f"{str(place)!r} is the manifest of export {own}: it was put in its place.")
        check_export(place.parent)

    problem = look.problem_of(path, check)
    for one in named:
        look.on_file(one)
    if problem is not None:
        at_fault = next((one for one in named if repr(str(look.root / one)) in problem), path)
        severity = "broken" if look.has(at_fault) else "missing"
        look.report(at_fault, problem, severity, artefact=about.name)
    return set(named)


def _named(look: Examination, path: str) -> list[str]:
    """Files of an export by its manifest; by their usual names where that cannot be read."""
    about = look.root / Path(path).parent
    try:
        manifest: dict[str, Any] = json.loads((look.root / path).read_bytes())
        data = data_files(about, manifest)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        data = []
    files = [*data, *(about / name for name in LISTS), look.root / path]
    return [one.relative_to(look.root).as_posix() for one in files if one.is_relative_to(look.root)]


def _check_manifest_is_there(look: Examination, folder: str, *, is_frozen: bool) -> None:
    path = f"exports/{folder}/{MANIFEST}"
    has_lists = any(look.has(f"exports/{folder}/{name}") for name in LISTS)
    if (has_lists or is_frozen) and not look.has(path):
        look.report(path, f"{str(look.root / path)!r} is missing.", "missing", artefact=folder)


def _check_is_no_version(look: Examination, folder: str) -> None:
    """Freezing makes the files of an export read-only, so one whose files are has a version, or had one."""
    manifest = look.root / "exports" / folder / MANIFEST
    try:
        is_protected = not manifest.stat().st_mode & WRITABLE
    except OSError:
        return
    if is_protected and not look.living.is_recent(manifest):
        problem = f"the files of export {folder} are read-only, as freezing makes them, and no version names them."
        remedy = f"{RESTORE} Or freeze it again; if it was never frozen, make its files writable."
        meaning = "A frozen version may have lost its file, and with it its name."
        look.findings.append(Finding(folder, problem, "missing", None, meaning, remedy))


def _check_versions(look: Examination) -> set[str]:
    """Check every frozen version; the exports that they name."""
    found: dict[str, FrozenVersion] = {}

    def read(place: Path) -> None:
        version = read_version(place)
        if version.name != place.stem:
            raise DamagedArtefact(f"{str(place)!r} is the frozen version {version.name!r}: it was put in its place.")
        _compare(look, version)
        found[version.name] = version

    for path in look.below(VERSIONS):
        if path.endswith(".json") and not path.rpartition("/")[2].startswith("."):
            look.check(path, read, artefact=Path(path).stem)
    lost = {place.name: copy for place, copy in lost_records(look.files)}
    for name, copy in lost.items():
        problem = f"{f'{VERSIONS}/{name}'!r} is missing; a copy is {copy.relative_to(look.root).as_posix()!r}."
        look.report(f"{VERSIONS}/{name}", problem, "missing")
    for version in found.values():
        if f"{version.parent}.json" in lost:
            continue
        if version.parent is not None and not look.has(f"{VERSIONS}/{version.parent}.json"):
            path = f"{VERSIONS}/{version.parent}.json"
            look.report(path, f"{path!r} is missing, after which {version.name!r} was frozen.", "missing")
    return {version.export_id for version in found.values()}


def _compare(look: Examination, version: FrozenVersion) -> None:
    """A version's export is there and is the one that was frozen; what is wrong with its files is said with them."""
    about = export_folder(look.files, version)
    if not look.below(f"exports/{version.export_id}"):
        raise ArtefactError(f"the export {version.export_id} of the frozen version {version.name!r} is missing.")
    if any(one.path == f"exports/{version.export_id}/{MANIFEST}" for one in look.findings):
        return
    try:
        manifest = json.loads((about / MANIFEST).read_bytes())
        counts = {name: manifest["counts"][name] for name in version.counts}
        told = (manifest["export_id"], counts)
    except (OSError, ValueError, KeyError, TypeError):
        return
    if told != (version.export_id, version.counts):
        raise DamagedArtefact(
            f"the export of the frozen version {version.name!r} is another one than was frozen: {told[0]}."
        )
