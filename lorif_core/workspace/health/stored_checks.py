"""An index that is stored outside the workspace: read whole, and compared with what its manifest and entries say."""

from collections.abc import Iterator
from typing import NamedTuple

from lorif_core.catalog import IndexRecord
from lorif_core.errors import LorifError
from lorif_core.store.manifest import MANIFEST, Manifest, fingerprint_of_manifest, plan_of_manifest, read_manifest
from lorif_core.store.parts import PART_FOLDER, ShardEntry, read_entry
from lorif_core.store.place import Listed, Place
from lorif_core.store.plan import PLAN, FileEntry, fingerprint_of_plan, read_plan
from lorif_core.workspace.health.examination import Examination
from lorif_core.workspace.health.findings import Finding, Severity
from lorif_core.workspace.health.inventory import kind_named

REMEDY = (
    "Delete there what is damaged, the entries of its parts (parts/NUMBER.json) and manifest.json, and run the same "
    "`lorif index` command again: it makes what is missing, with the same bytes. Or copy the index there again."
)


class Problem(NamedTuple):
    """What is wrong with one file."""

    text: str
    severity: Severity = "broken"


def check_stored(look: Examination, record: IndexRecord) -> None:
    """Look for every file of an index that lies outside the workspace, and read it."""
    try:
        place = look.files.index_place(record)
        found = list(_problems(place, record))
    except LorifError as error:
        found = [Problem(f"index {record.index_id!r} cannot be looked at: {error}")]
    meaning = kind_named("manifest").meaning
    for text, severity in found:
        remedy = "Delete it, or leave it: nothing reads it." if severity == "leftover" else REMEDY
        told = "None." if severity == "leftover" else meaning
        look.findings.append(Finding(record.index_id, text, severity, None, told, remedy))


def _problems(place: Place, record: IndexRecord) -> Iterator[Problem]:
    files = place.listed()
    if MANIFEST not in files:
        yield from _unfinished(place, record, files)
        return
    manifest = read_manifest(place)
    if record.status == "complete" and record.fingerprint not in (None, fingerprint_of_manifest(manifest)):
        yield Problem(f"{place.told(MANIFEST)!r} is of another index than the catalog expects, or was made again.")
        return
    if manifest.status != "complete":
        yield Problem(f"index {record.index_id!r} is not complete: its curvature was not fitted yet.", "missing")
    yield from _of_plan(place, manifest, files)
    for entry in manifest.entries:
        yield from _of_file(place, entry, files)
    for number, shard in enumerate(manifest.shards):
        yield from _of_entry(place, number, shard, files)
    named = {one.file for one in manifest.entries} | {PLAN, MANIFEST}
    named |= {_entry_name(number) for number in range(len(manifest.shards))}
    for name in files.keys() - named:
        yield Problem(f"{place.told(name)!r} is named by nothing.", "leftover")


def _unfinished(place: Place, record: IndexRecord, files: dict[str, Listed]) -> Iterator[Problem]:
    if PLAN not in files:
        yield Problem(f"index {record.index_id!r} is to lie in {place.told()!r}, and no plan is there.", "missing")
        return
    manifest = read_manifest(place)
    for entry in [*manifest.shards, *(manifest.maps or [])]:
        yield from _of_file(place, entry, files)
    yield Problem(
        f"index {record.index_id!r} is not complete, its build was interrupted after {manifest.num_stored} of "
        f"{manifest.num_examples} examples.",
        "missing",
    )


def _of_plan(place: Place, manifest: Manifest, files: dict[str, Listed]) -> Iterator[Problem]:
    if PLAN not in files:
        yield Problem(f"{place.told(PLAN)!r} is missing.", "missing")
        return
    try:
        if fingerprint_of_plan(read_plan(place)) != fingerprint_of_plan(plan_of_manifest(manifest)):
            yield Problem(f"{place.told(PLAN)!r} is another plan than the one that the manifest was made by.")
    except LorifError as error:
        yield Problem(str(error))


def _of_file(place: Place, entry: ShardEntry | FileEntry, files: dict[str, Listed]) -> Iterator[Problem]:
    if entry.file not in files:
        yield Problem(f"{place.told(entry.file)!r} is missing.", "missing")
        return
    try:
        place.content(entry.file, entry.checksum)
    except FileNotFoundError:
        yield Problem(f"{place.told(entry.file)!r} is missing.", "missing")
    except LorifError as error:
        yield Problem(str(error))


def _of_entry(place: Place, number: int, shard: ShardEntry, files: dict[str, Listed]) -> Iterator[Problem]:
    if _entry_name(number) not in files:
        if shard.file.startswith(f"{PART_FOLDER}/"):
            yield Problem(f"the entry of part {number} is missing in {place.told()!r}.", "missing")
        return
    try:
        if read_entry(place, number).shard.checksum != shard.checksum:
            yield Problem(f"{place.told(_entry_name(number))!r} names other tensors than the manifest.")
    except LorifError as error:
        yield Problem(str(error))


def _entry_name(number: int) -> str:
    return f"{PART_FOLDER}/{number:05d}.json"
