"""The manifest of an index: its plan, what its parts hold, and the preconditioner that was fitted to them.

It is compacted from the entries when all parts are finished, and written anew when a preconditioner is fitted. Before
that, reading the manifest of an index gives its plan and the parts that are finished so far. It holds no clock time
and no fact of the run that made it, so equal builds end with the same bytes (``store/parts.py`` says which).

Format 1 had no plan and no entries: its manifest was rewritten after every shard of ``shards/``, and all maps lay in
one ``maps.safetensors``. It is read as it is; an unfinished build is adopted, see ``adopt_format_1``.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, NamedTuple

from lorif_core.errors import ArtefactError
from lorif_core.files import fingerprint_of_value
from lorif_core.store.json_files import Folder, place_at, put_json_at, read_json_at, replace_json_at
from lorif_core.store.parts import (
    PART_FOLDER,
    PartEntry,
    ShardEntry,
    finished_parts,
    missing_parts,
    sweep_leftovers,
    write_entry,
)
from lorif_core.store.plan import (
    FORMAT_VERSION,
    ONE_MODEL,
    PLAN,
    FileEntry,
    Plan,
    check_format,
    fingerprint_of_plan,
    plan_values,
    read_plan,
    values_to_keep,
    write_plan,
)
from lorif_core.store.plan import Layout as Layout  # read from here by the layers above
from lorif_core.store.plan import Parents as Parents

COVERAGE = "coverage.json"
"""What of the model the index sees; for people, nothing is computed from it."""

MANIFEST = "manifest.json"
FORMAT_1_SHARDS = "shards"

COUNTED = (
    "failed_reasons",
    "num_without_gradients",
    "ids_without_targets",
    "num_tokens",
    "num_tokens_read",
    "num_positions",
    "stored_energy",
)
"""Facts of a shard that follow from its texts, the tokenizer and its tensors; older shards do not have them."""

Status = Literal["building", "gradients", "complete"]


class KeptEnergy(NamedTuple):
    """Share of the squared norm of the projected gradients that an index keeps."""

    as_stored: float | None
    """Truncated and rounded, as it is read back: 1 - ‖G̃ - Ĝ‖² ÷ ‖G̃‖², nothing clipped. None where it was not
    measured, as in indexes of older versions."""

    before_rounding: float
    """Truncated only."""

    of: str = "projected gradients"
    """What is stored."""

    @property
    def share(self) -> float:
        """As stored where that is known."""
        return self.before_rounding if self.as_stored is None else self.as_stored

    @property
    def sentence(self) -> str:
        """For people."""
        whole = f"of the squared norm of the {self.of}"
        if self.as_stored is None:
            return (
                f"Before rounding the factors keep {self.before_rounding:.0%} {whole}; what is left after it was not "
                "measured yet when the index was built."
            )
        return f"What is stored keeps {self.as_stored:.0%} {whole}; before rounding it is {self.before_rounding:.0%}."


@dataclass(frozen=True, kw_only=True)
class Manifest(Plan):
    """Everything needed to read an index and to know whether it may be used."""

    shards: list[ShardEntry]
    """Finished parts in store order; while the index is being built, some between them may be missing."""

    subspace_rank: int | None = None
    """r as asked for; a module with fewer dimensions keeps them all. None before the fit."""

    subspaces: list[FileEntry] = field(default_factory=list[FileEntry])
    """One file per module, in the order of ``modules``."""

    self_influences: list[FileEntry] = field(default_factory=list[FileEntry])
    """One file per shard: each example's score against itself under the index's own damping."""

    curvature: dict[str, Any] | None = None
    """The curvature settings that the preconditioner was fitted with."""

    damping: dict[str, float] = field(default_factory=dict[str, float])
    """Absolute damping per module that the index's settings gave."""

    status: Status = "building"

    @property
    def num_stored(self) -> int:
        """Examples in finished shards."""
        return sum(shard.num_examples for shard in self.shards)

    @property
    def shard_bytes(self) -> int:
        """Bytes of all finished shards."""
        return sum(shard.size_bytes for shard in self.shards)

    @property
    def knows_stored_energy(self) -> bool:
        """Whether every shard says what is kept after rounding; those of older versions do not."""
        return all(shard.stored_energy is not None for shard in self.shards)

    def explained_energy(self) -> dict[str, float]:
        """Per module, share of the squared gradient norm that is kept as stored: below 0 where what is stored is
        further from the gradients than zero is. Before rounding where shards do not know the former."""
        kept, total = self._energies()
        pairs = zip(self.modules, kept, total, strict=True)
        return {module.name: one / whole if whole > 0 else 1.0 for module, one, whole in pairs}

    def kept_energy(self) -> "KeptEnergy":
        """The same over all modules, as stored and before rounding."""
        kept, total = self._energies()
        whole, of = sum(total), "projected gradients" if self.members == ONE_MODEL else "centred losses"
        if not whole > 0:
            return KeptEnergy(1.0 if self.knows_stored_energy else None, 1.0, of)
        before = sum(sum(shard.kept_energy) for shard in self.shards)
        return KeptEnergy(sum(kept) / whole if self.knows_stored_energy else None, before / whole, of)

    def _energies(self) -> tuple[list[float], list[float]]:
        """Per module, what is kept and the whole."""
        own = [shard.stored_energy or [] if self.knows_stored_energy else shard.kept_energy for shard in self.shards]
        places = range(len(self.modules))
        return (
            [sum(energies[place] for energies in own) for place in places],
            [sum(shard.total_energy[place] for shard in self.shards) for place in places],
        )

    def as_complete(self, subspace_rank: int | None) -> "Manifest":
        """The manifest of an index whose preconditioner was fitted with that rank."""
        return replace(self, subspace_rank=subspace_rank, status="complete")

    def without_preconditioner(self) -> "Manifest":
        """The manifest before the fit, for another subspace rank or damping."""
        return replace(
            self, subspace_rank=None, curvature=None, subspaces=[], self_influences=[], damping={}, status="gradients"
        )

    @property
    def total_bytes(self) -> int:
        """Bytes of every file that the manifest names."""
        return sum(entry.size_bytes for entry in self.entries)

    @property
    def entries(self) -> list[ShardEntry | FileEntry]:
        """Every file that the manifest names."""
        return [*(self.maps or []), *self.shards, *self.subspaces, *self.self_influences]


def manifest_of_plan(plan: Plan, shards: Iterable[ShardEntry] = (), status: Status = "building") -> Manifest:
    """The manifest of an index with these shards and no preconditioner."""
    return Manifest(**_values_of(plan), shards=list(shards), status=status)


def plan_of_manifest(manifest: Manifest) -> Plan:
    """The plan that an index was built by."""
    return Plan(**_values_of(manifest))


def _values_of(plan: Plan) -> dict[str, Any]:
    return {one.name: getattr(plan, one.name) for one in fields(Plan)}


def fingerprint_of_manifest(manifest: Manifest) -> str:
    """Hash of everything that a manifest says, but for what was counted beside the gradients.

    What format 1 did not say is left out where the index is as format 1's all were, so old indexes keep their hash.
    """
    values = values_to_keep(manifest)
    if manifest.members == ONE_MODEL:
        values.pop("members")
    if manifest.stride is None:
        values.pop("stride")
    for shard in values["shards"]:
        for name in COUNTED:
            shard.pop(name)
        if not shard["failed_ids"]:
            shard.pop("failed_ids")
    if manifest.maps is not None and len(manifest.maps) == 1:
        (values["maps"],) = values["maps"]
    return fingerprint_of_value(values)


def write_manifest(folder: Folder, manifest: Manifest) -> None:
    """Write a manifest atomically, in place of the one that is there; one process at a time."""
    replace_json_at(place_at(folder), MANIFEST, _to_json(manifest))


def _to_json(manifest: Manifest) -> dict[str, Any]:
    return {"format": FORMAT_VERSION, **values_to_keep(manifest)}


def compact(folder: Folder) -> Manifest:
    """Write the manifest of an index whose parts are all finished, unless it is there; returns the one that is there.

    Raises:
        ArtefactError: Parts are missing.
    """
    place = place_at(folder)
    plan = read_plan(place)
    missing = missing_parts(plan, place)
    if missing:
        raise ArtefactError(
            f"index {place.name!r} lacks {len(missing)} of its {plan.num_parts} parts, the first is {missing[0]}. "
            "Run the same `lorif index` command again; it makes what is missing."
        )
    found = manifest_of_plan(plan, (entry.shard for entry in finished_parts(place).values()), "gradients")
    put_json_at(place, MANIFEST, _to_json(found))
    sweep_leftovers(place)
    return read_manifest(place)


def is_begun(folder: Folder) -> bool:
    """Whether a folder holds an index, finished or not."""
    place = place_at(folder)
    return place.has(MANIFEST) or place.has(PLAN)


def read_manifest(folder: Folder) -> Manifest:
    """Manifest of an index folder; of an index that is being built, what is finished.

    Raises:
        ArtefactError: It is missing, unreadable or from a newer version.
    """
    place = place_at(folder)
    if not place.has(MANIFEST) and place.has(PLAN):
        return manifest_of_plan(read_plan(place), (entry.shard for entry in finished_parts(place).values()))
    raw = read_json_at(place, MANIFEST)
    version = check_format(place.told(MANIFEST), raw, (1, FORMAT_VERSION))
    raw.pop("format")
    if version == 1 and raw.get("maps"):
        raw["maps"] = [raw["maps"]]
    try:
        values: dict[str, Any] = plan_values(raw) | {
            "shards": [ShardEntry(**shard) for shard in raw["shards"]],
            "subspaces": [FileEntry(**entry) for entry in raw["subspaces"]],
            "self_influences": [FileEntry(**entry) for entry in raw["self_influences"]],
        }
        return Manifest(**values)
    except (KeyError, TypeError) as error:
        raise ArtefactError(f"{place.told(MANIFEST)!r} is incomplete ({error}): build the index again.") from error


def adopt_format_1(folder: Folder) -> None:
    """Turn an unfinished build of format 1 into a plan and finished parts; anything else is left alone.

    Its shard files stay where they are and are named by entries. Killed in between, it does the same again. For one
    process at a time, as format 1 was.
    """
    place = place_at(folder)
    manifest = read_manifest(place) if place.has(MANIFEST) else None
    if manifest is None or manifest.status != "building":  # format 2 has no manifest until all parts are finished
        return
    plan = plan_of_manifest(manifest)
    write_plan(place, plan)
    for number, shard in enumerate(manifest.shards):
        write_entry(place, number, PartEntry(fingerprint_of_plan(plan), shard, origin=None))
    named = {shard.file for shard in manifest.shards}
    for name in place.listed(FORMAT_1_SHARDS):
        if name not in named:
            place.delete(name)
    place.sweep_partials()
    place.delete(MANIFEST)


def bookkeeping_bytes(folder: Folder) -> int:
    """Bytes of the files that name the others: plan, entries and manifest."""
    place = place_at(folder)
    sizes = {name: one.size_bytes for name, one in place.listed().items()}
    entries = [name for name in sizes if name.startswith(f"{PART_FOLDER}/") and name.endswith(".json")]
    return sum(sizes.get(name, 0) for name in (PLAN, MANIFEST, COVERAGE, *entries))
