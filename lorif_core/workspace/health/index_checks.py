"""An index's folder: plan, manifest and entries agree, every file that they name is whole, nothing else is there."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lorif_core.catalog import IndexRecord
from lorif_core.errors import FingerprintMismatch, LorifError
from lorif_core.store.local_place import verify_file
from lorif_core.store.manifest import (
    COVERAGE,
    FORMAT_1_SHARDS,
    MANIFEST,
    Manifest,
    fingerprint_of_manifest,
    plan_of_manifest,
    read_manifest,
)
from lorif_core.store.parts import MAP_FOLDER, PART_FOLDER, PartEntry, ShardEntry, read_entry
from lorif_core.store.plan import PLAN, FileEntry, Plan, fingerprint_of_plan, read_plan
from lorif_core.workspace.folder.index_losses import LOSSES_FILE, knows_only_losses, read_index_losses
from lorif_core.workspace.folder.index_members import MEMBERS, LinkedMember, Members, read_members
from lorif_core.workspace.health.examination import Examination
from lorif_core.workspace.health.file_kind import INDEX_AGAIN
from lorif_core.workspace.health.findings import Finding, Severity
from lorif_core.workspace.health.inventory import kind_named
from lorif_core.workspace.health.living import is_held
from lorif_core.workspace.health.stored_checks import check_stored
from lorif_core.workspace.indexes.index_settings import read_index_settings
from lorif_core.workspace.indexes.linked_members import check_member_among
from lorif_core.workspace.indexes.model_share import read_share

ENTRY = re.compile(r"(\d+)\.json")
TENSORS = re.compile(r"(\d+)-[0-9a-f]{32}\.safetensors")


@dataclass
class _Folder:
    """What an index's folder says of itself, as far as it can be read."""

    look: Examination
    index_id: str
    record: IndexRecord | None
    plan: Plan | None = None
    manifest: Manifest | None = None
    entries: dict[int, PartEntry] = field(default_factory=dict[int, PartEntry])
    linked: tuple[LinkedMember, ...] = ()

    @property
    def folder(self) -> Path:
        return self.look.files.index_folder(self.index_id)

    @property
    def place(self) -> str:
        return f"indexes/{self.index_id}"

    @property
    def is_elsewhere(self) -> bool:
        return self.record is not None and self.record.storage is not None

    def names(self, folder: str) -> list[str]:
        """Names of the files in a folder of the index."""
        return [path.rpartition("/")[2] for path in self.look.below(f"{self.place}/{folder}")]

    def has(self, name: str) -> bool:
        return self.look.has(f"{self.place}/{name}")

    def report(self, name: str, problem: str, severity: Severity = "broken") -> None:
        self.look.report(f"{self.place}/{name}", problem, severity, artefact=self.index_id)

    def say(self, problem: str, meaning: str) -> None:
        """Something is missing that no single file stands for."""
        self.look.findings.append(Finding(self.index_id, problem, "missing", None, meaning, INDEX_AGAIN))


def check_indexes(look: Examination) -> None:
    """Every index that the catalog knows or a folder is there of."""
    known = {record.index_id: record for record in look.indexes()}
    folders = {path.split("/")[1] for path in look.below("indexes")}
    every = [
        _Folder(look, index_id, known.get(index_id))
        for index_id in sorted(known.keys() | {one for one in folders if not one.startswith(".")})
    ]
    for index in every:
        _check_unless_built(index)
    for index in every:
        _check_linked(index)


def _check_unless_built(index: _Folder) -> None:
    """A build makes and replaces files: what is missing meanwhile is not missed."""
    look, index_id = index.look, index.index_id
    lock, told = look.files.index_folder(index_id) / ".lock", len(look.findings)
    if not is_held(lock) and index.is_elsewhere:
        _check_elsewhere(index)
    elif not is_held(lock):
        _check_index(index)
    if is_held(lock):  # by now, at the latest
        del look.findings[told:]
        look.findings.append(Finding(index_id, "is being built right now; look again when it is done.", "note"))


def _check_elsewhere(index: _Folder) -> None:
    """An index that is stored outside the workspace; its folder holds what is for people and names members."""
    assert index.record is not None
    check_stored(index.look, index.record)
    _check_members(index)
    _check_losses(index)
    if left := [name for name in (PLAN, MANIFEST) if index.has(name)]:
        where = index.record.storage
        problem = f"{index.place} holds the index as well ({', '.join(left)}), and it is read from {where!r}."
        index.look.findings.append(
            Finding(
                index.index_id, problem, "note", None, "None; it takes room.", "Delete what is in it, or leave it."
            )
        )


def _check_index(index: _Folder) -> None:
    _read(index)
    _check_facts(index)
    shards = _check_entries(index)
    for shard in shards:
        _check_named(index, shard)
    manifest = index.manifest
    for entry in _fitted(manifest) if manifest is not None else (index.plan.maps or [] if index.plan else []):
        _check_named(index, entry)
    _check_leftovers(index)
    _check_standing(index)
    _check_members(index)
    _check_losses(index)
    look, index_id = index.look, index.index_id
    has_share = index.record is None or not knows_only_losses(index.record)
    if not index.has(COVERAGE):
        if index.manifest is not None and index.plan is not None and has_share:
            index.report(COVERAGE, f"{index.place}/{COVERAGE} is not there.", "note")
    else:
        look.check(f"{index.place}/{COVERAGE}", lambda place: read_share(place.parent), artefact=index_id)


def _check_members(index: _Folder) -> None:
    """The file that names further members is whole, and so is what each of them has to agree on with the index."""
    record = index.record
    if record is None:
        return
    if not index.has(MEMBERS):
        if read_index_settings(record.settings_json).members.names_any:
            index.report(MEMBERS, f"{index.place}/{MEMBERS} is missing, and the catalog knows of members.", "missing")
        return
    found: list[Members] = []

    def read(place: Path) -> None:
        found.extend(one for one in [read_members(place.parent)] if one is not None)

    index.look.check(f"{index.place}/{MEMBERS}", read, artefact=index.index_id)
    if found:
        index.linked = found[0].others


def _check_losses(index: _Folder) -> None:
    """The file that names the models of an index of losses is there and whole."""
    record = index.record
    if record is None or not knows_only_losses(record):
        return
    if not index.has(LOSSES_FILE):
        if record.status == "complete":
            problem = f"{index.place}/{LOSSES_FILE} is missing, and the index holds losses."
            index.report(LOSSES_FILE, problem, "missing")
        return
    index.look.check(
        f"{index.place}/{LOSSES_FILE}", lambda place: read_index_losses(place.parent), artefact=index.index_id
    )


def _check_linked(index: _Folder) -> None:
    """Every further member is there and fits; what is wrong with its own files was said of it."""
    record, told = index.record, {one.artefact for one in index.look.findings}
    if record is None or index.manifest is None:
        return
    for one in index.linked:
        if one.index_id in told:
            continue
        try:
            check_member_among(index.look.files, index.look.indexes(), record, one)
        except LorifError as error:
            index.say(str(error), _REFUSED)


def _fitted(manifest: Manifest) -> list[FileEntry]:
    return [*(manifest.maps or []), *manifest.subspaces, *manifest.self_influences]


def _read(index: _Folder) -> None:
    def plan(place: Path) -> None:
        index.plan = read_plan(place.parent)

    def manifest(place: Path) -> None:
        index.manifest = read_manifest(place.parent)

    for name, read in ((PLAN, plan), (MANIFEST, manifest)):
        if index.has(name):
            index.look.check(f"{index.place}/{name}", read, artefact=index.index_id)


def _check_facts(index: _Folder) -> None:
    """Plan, manifest and catalog speak of one index."""
    manifest, plan, record = index.manifest, index.plan, index.record
    told = f"{index.place}/{MANIFEST}"
    if manifest is not None and record is not None and record.status == "complete" and manifest.status == "complete":
        own = fingerprint_of_manifest(manifest)
        if record.fingerprint not in (None, own):
            index.report(
                MANIFEST,
                f"{told!r} has fingerprint {own[:8]}…, the catalog expects {record.fingerprint[:8]}…: "
                "it is of another index, or was made again.",
            )
            index.manifest = None
            return
    if manifest is not None and plan is not None and not _agree(plan, manifest):
        index.report(PLAN, f"{index.place}/{PLAN} is another plan than the one that the manifest was made by.")
        index.plan = None
    whole = manifest or plan
    dataset = {one.dataset_id: one for one in index.look.datasets()}.get(record.dataset_id) if record else None
    if whole is not None and dataset is not None and whole.parents.dataset != dataset.fingerprint:
        name = PLAN if manifest is None else MANIFEST
        index.report(name, f"{index.place}/{name} was made from other texts than those of {dataset.dataset_id}.")


def _agree(plan: Plan, manifest: Manifest) -> bool:
    return fingerprint_of_plan(plan) == fingerprint_of_plan(plan_of_manifest(manifest))


def _check_entries(index: _Folder) -> Sequence[ShardEntry]:
    """Read the entries; the shards that have to be there, by the manifest or else by them."""
    plan = index.plan if index.manifest is None else plan_of_manifest(index.manifest)
    fingerprint = None if plan is None else fingerprint_of_plan(plan)
    for name in index.names(PART_FOLDER):
        if found := ENTRY.fullmatch(name):
            _check_entry(index, int(found[1]), fingerprint)
    if index.manifest is None:
        return [entry.shard for _, entry in sorted(index.entries.items())]
    has_parts = any(shard.file.startswith(f"{PART_FOLDER}/") for shard in index.manifest.shards)
    if has_parts and not index.has(PLAN):
        index.report(PLAN, f"{index.place}/{PLAN} is missing.", "missing")
    for number in range(len(index.manifest.shards)) if has_parts else ():
        if not index.has(f"{PART_FOLDER}/{number:05d}.json"):
            index.report(f"{PART_FOLDER}/{number:05d}.json", f"the entry of part {number} is missing.", "missing")
    return index.manifest.shards


def _check_entry(index: _Folder, number: int, plan: str | None) -> None:
    def check(place: Path) -> None:
        entry = read_entry(place.parents[1], number)
        if plan is not None and entry.plan != plan:
            raise FingerprintMismatch(f"{str(place)!r} follows plan {entry.plan[:8]}…, the index has {plan[:8]}….")
        shards = index.manifest.shards if index.manifest is not None else []
        if number < len(shards) and shards[number].checksum != entry.shard.checksum:
            raise FingerprintMismatch(f"{str(place)!r} names other tensors than the manifest.")
        index.entries[number] = entry

    index.look.check(f"{index.place}/{PART_FOLDER}/{number:05d}.json", check, artefact=index.index_id)


def _check_named(index: _Folder, entry: ShardEntry | FileEntry) -> None:
    path = f"{index.place}/{entry.file}"
    if not index.look.has(path):
        index.report(entry.file, f"{str(index.look.root / path)!r} is missing.", "missing")
        return
    index.look.check(path, lambda place: verify_file(place, entry.checksum), artefact=index.index_id)


def _check_leftovers(index: _Folder) -> None:
    """Tensors that lost against others, and files that a later fit or plan no longer names."""
    for name in index.names(PART_FOLDER):
        found = TENSORS.fullmatch(name)
        entry = index.entries.get(int(found[1])) if found else None
        if entry is not None and entry.shard.file != f"{PART_FOLDER}/{name}":
            index.report(f"{PART_FOLDER}/{name}", f"{name!r} is of a part that was finished with others.", "leftover")
    whole = index.manifest if index.manifest is not None and index.manifest.status == "complete" else None
    named = {entry.file for entry in [*(whole.entries if whole else []), *((index.plan and index.plan.maps) or [])]}
    folders = [
        *(["subspace", "self_influence", FORMAT_1_SHARDS] if whole else []),
        *([MAP_FOLDER] if whole or index.plan else []),
    ]
    for folder in folders:
        for name in index.names(folder):
            if f"{folder}/{name}" not in named and not name.startswith("."):
                index.report(f"{folder}/{name}", f"{folder}/{name} is named by nothing any more.", "leftover")


def _check_standing(index: _Folder) -> None:
    """Whether the index is complete, and if not, what is there."""
    place = f"{index.place}/"
    told = [
        one for one in index.look.findings if (one.path or "").startswith((f"{place}{PLAN}", f"{place}{MANIFEST}"))
    ]
    if told:
        return  # it is known already why it cannot be read
    is_complete = index.record is not None and index.record.status == "complete"
    if index.manifest is not None:
        if index.manifest.status != "complete":
            index.say(_unfinished(index, index.manifest.num_stored, index.manifest.num_examples), _REFUSED)
    elif index.plan is not None and not is_complete:
        stored = sum(entry.shard.num_examples for entry in index.entries.values())
        index.say(_unfinished(index, stored, index.plan.num_examples), _REFUSED)
    elif index.plan is not None and len(index.entries) < index.plan.num_parts:
        stored = sum(entry.shard.num_examples for entry in index.entries.values())
        index.say(_unfinished(index, stored, index.plan.num_examples), _REFUSED)
    elif is_complete:
        index.report(MANIFEST, f"{str(index.folder / MANIFEST)!r} is missing.", "missing")
    elif index.record is not None:
        index.say(
            f"index {index.index_id!r} is not complete: its build was interrupted before its first part.", _REFUSED
        )
    else:
        index.look.findings.append(
            Finding(
                index.index_id,
                "the folder of an index that the catalog does not know, and that holds no plan.",
                "note",
            )
        )


_REFUSED = kind_named("manifest").meaning


def _unfinished(index: _Folder, stored: int, total: int) -> str:
    return f"index {index.index_id!r} is not complete, its build was interrupted after {stored} of {total} texts."
