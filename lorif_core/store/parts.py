"""The parts of an index: shards that any number of workers make, in any order, with no word between them.

    parts/00042-<checksum>.safetensors   the tensors; named by their bytes
    parts/00042.json                     the entry: what the tensors are, which plan they follow, who made them

Both are only ever created, never changed (``Place.create``): in a folder a finished, fsynced file of a unique name is
linked to the final name if that is free, and the folder is fsynced. **A part is finished when its entry exists.**

Why an entry and the tensors that it names always fit:

1. An entry is linked after the tensors that it names are on the disk under their own name.
2. A name of tensors holds their checksum, so whoever writes that name writes those bytes. A worker with other bytes
   for the same part writes another name and cannot disturb the first.
3. The first entry wins, for the link of a second one fails. From then on it is decided which tensors the part has.
4. Tensors are deleted only where an entry exists and names others. A worker that lost deletes its own so; a worker
   that was killed between the two links leaves tensors that the same bytes take over, or that ``sweep_leftovers``
   deletes once the part is finished. While a part has no entry, nobody deletes its tensors: their worker may be about
   to link its entry.

So a kill loses at most the part in work, and two workers that make one part cost time and nothing else. On an object
store the link is a put with ``If-None-Match: *`` (``store/object_place.py``); a put that was answered is lasting.

**What is byte-identical** between a build that was killed, doubled or divided and one that was not, on equal hardware
and with equal versions: the plan, the maps, the tensors with their names, the compacted manifest and all that is
fitted later. An entry is so too but for its ``origin``: device, torch version, worker and seconds are facts of one
run. They stay in the entry; neither the manifest nor a fingerprint nor a score depends on them.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from lorif_core.errors import ArtefactError, FingerprintMismatch
from lorif_core.files import start_hash
from lorif_core.store.json_files import Folder, place_at, put_json_at, read_json_at
from lorif_core.store.place import Listed, Place
from lorif_core.store.plan import PLAN, Plan, fingerprint_of_plan, read_plan

if TYPE_CHECKING:
    from torch import Tensor

PART_FOLDER = "parts"
MAP_FOLDER = "maps"

ENTRIES_AT_ONCE = 16
"""Entries that are read at once, where an answer may take long and say little."""


@dataclass(frozen=True, kw_only=True)
class ShardFacts:
    """What is known of a shard beside its tensors."""

    num_truncated: int
    """Examples of which something was cut at `max_length`."""

    num_without_targets: int
    """Examples with nothing to predict within `max_length`; their gradient is zero."""

    kept_energy: list[float]
    """Per module, summed squared norm of the stored rank-c form, before the codec."""

    total_energy: list[float]
    """Per module, summed squared norm of the projected gradients."""

    failed_ids: list[str] = field(default_factory=list[str])
    """Examples that could not be read, such as chats that the template refuses, then those whose gradients could not
    be taken; they are stored as zero."""

    failed_reasons: list[str] = field(default_factory=list[str])
    """Why, of each of them."""

    num_without_gradients: int = 0
    """How many of them could be read, but their gradients not be taken."""

    ids_without_targets: list[str] | None = None
    """Which examples have nothing to predict; None in a part from before they were listed."""

    num_tokens: int | None = None
    """Tokens of all examples as the tokenizer makes them; None in a part from before they were counted."""

    num_tokens_read: int | None = None
    """Of these, those that the model read; the others were cut."""

    num_positions: int | None = None
    """Places of all sequences: a token that windows share counts in each."""

    stored_energy: list[float] | None = None
    """Per module, total minus the squared distance from what is read back, after the codec: may be below 0. None in a
    part from before it was measured."""


@dataclass(frozen=True, kw_only=True)
class ShardEntry(ShardFacts):
    """One shard file: consecutive examples in store order."""

    file: str
    """Path below the index folder."""

    start: int
    """Store position of its first example."""

    num_examples: int
    size_bytes: int
    checksum: str
    """XXH3-128 of the file."""


@dataclass(frozen=True)
class Origin:
    """Where, by whom and how fast a part was made. Nothing depends on it."""

    device: str
    torch_version: str
    worker: str
    """A name for people, such as host and process."""

    seconds: float


@dataclass(frozen=True)
class PartEntry:
    """A finished part."""

    plan: str
    """Fingerprint of the plan that it follows."""

    shard: ShardEntry
    origin: Origin | None
    """None for a shard that was adopted from format 1."""


def write_part(
    folder: Folder, plan: Plan, number: int, tensors: "Mapping[str, Tensor]", facts: ShardFacts, origin: Origin
) -> PartEntry:
    """Write a part unless another worker has, and return the entry of the one that won.

    Raises:
        ResourceError: The disk is full; no other part is touched.
        FingerprintMismatch: The part is finished, by another plan.
    """
    from safetensors.torch import save

    place, content = place_at(folder), save(dict(tensors))
    checksum = start_hash(content).hexdigest()
    rows = plan.rows_of(number)
    shard = ShardEntry(
        **asdict(facts),
        file=f"{PART_FOLDER}/{number:05d}-{checksum}.safetensors",
        start=rows.start,
        num_examples=len(rows),
        size_bytes=len(content),
        checksum=checksum,
    )
    if not is_finished(place, number):
        place.create(shard.file, content)
    return write_entry(place, number, PartEntry(fingerprint_of_plan(plan), shard, origin))


def write_entry(folder: Folder, number: int, entry: PartEntry) -> PartEntry:
    """Make a part whose tensors are there finished, unless it is; returns the entry that won."""
    place, name = place_at(folder), _entry_file(number)
    winner = _entry_from_json(place.told(name), put_json_at(place, name, asdict(entry)))
    _check_plan(place.told(name), winner, entry.plan)
    if winner.shard.file != entry.shard.file and entry.shard.file.startswith(f"{PART_FOLDER}/"):
        place.delete(entry.shard.file)
    return winner


def is_finished(folder: Folder, number: int) -> bool:
    """Whether somebody has finished a part."""
    return place_at(folder).has(_entry_file(number))


def read_entry(folder: Folder, number: int) -> PartEntry:
    """Entry of a finished part.

    Raises:
        ArtefactError: It is missing or cannot be read.
    """
    place, name = place_at(folder), _entry_file(number)
    return _entry_from_json(place.told(name), read_json_at(place, name))


def missing_parts(plan: Plan, folder: Folder) -> list[int]:
    """Numbers of the parts that nobody has finished; one listing."""
    finished = _entries_at(place_at(folder))
    return [number for number in range(plan.num_parts) if number not in finished]


def finished_parts(folder: Folder) -> dict[int, PartEntry]:
    """Entries of all finished parts by their numbers, in store order.

    Raises:
        ArtefactError: An entry cannot be read.
        FingerprintMismatch: An entry follows another plan than the folder's.
    """
    place = place_at(folder)
    plan = fingerprint_of_plan(read_plan(place))
    numbers = list(_entries_at(place))
    with ThreadPoolExecutor(ENTRIES_AT_ONCE, thread_name_prefix="entries") as pool:
        found = dict(zip(numbers, pool.map(partial(read_entry, place), numbers), strict=True))
    for number, entry in found.items():
        _check_plan(place.told(_entry_file(number)), entry, plan)
    return found


def finished_at(folder: Folder) -> dict[int, float]:
    """When each finished part was finished, in seconds since 1970 by the clock of the disk, in store order."""
    return {number: one.modified for number, one in _entries_at(place_at(folder)).items()}


def sweep_leftovers(folder: Folder) -> None:
    """Delete what killed writers left; safe at any moment, also beside workers that are writing."""
    place = place_at(folder)
    place.sweep()
    if not place.has(PLAN):
        return
    named = {number: entry.shard.file for number, entry in finished_parts(place).items()}
    for name in place.listed(PART_FOLDER):
        number, is_tensors = PurePosixPath(name).name.partition("-")[0], name.endswith(".safetensors")
        if is_tensors and number.isdecimal() and named.get(int(number), name) != name:
            place.delete(name)
    maps = {entry.file for entry in read_plan(place).maps or []}
    for name in place.listed(MAP_FOLDER):  # of modules that a budget kept in another worker's plan
        if name.endswith(".safetensors") and name not in maps:
            place.delete(name)


def _entries_at(place: Place) -> dict[int, Listed]:
    """The entries that are there by the numbers of their parts, in store order."""
    found = {
        int(path.stem): one
        for path, one in ((PurePosixPath(name), one) for name, one in place.listed(PART_FOLDER).items())
        if path.suffix == ".json" and path.stem.isdecimal()
    }
    return dict(sorted(found.items()))


def _entry_file(number: int) -> str:
    return f"{PART_FOLDER}/{number:05d}.json"


def _entry_from_json(told: str, raw: dict[str, Any]) -> PartEntry:
    try:
        origin = raw["origin"]
        return PartEntry(raw["plan"], ShardEntry(**raw["shard"]), None if origin is None else Origin(**origin))
    except (KeyError, TypeError) as error:
        raise ArtefactError(
            f"{told!r} is incomplete ({error}): delete it and run `lorif index` again; that part is made again."
        ) from error


def _check_plan(told: str, entry: PartEntry, plan: str) -> None:
    if entry.plan != plan:
        raise FingerprintMismatch(
            f"{told!r} follows plan {entry.plan[:8]}…, but {PLAN} beside it is {plan[:8]}…. Delete the file and "
            "run `lorif index` again; that part is made again."
        )
