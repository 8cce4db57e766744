"""Workers start parts, crash, finish them and do them twice, and somebody compacts: in any order, over a store that
fails. There are never two entries of a part, an entry's tensors are there, and a manifest has every part once."""

import re

from disk_calls import Origin, ShardFacts, plan_of
from faulty_objects import FaultyObjects
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule
from safetensors.torch import save
from test_places import no_wait
from torch import arange

from lorif_core.errors import ArtefactError
from lorif_core.files import start_hash
from lorif_core.store.manifest import MANIFEST, compact, read_manifest
from lorif_core.store.object_place import ObjectPlace
from lorif_core.store.obstore_objects import ObstoreObjects
from lorif_core.store.parts import (
    PartEntry,
    ShardEntry,
    finished_parts,
    missing_parts,
    sweep_leftovers,
    write_entry,
)
from lorif_core.store.plan import fingerprint_of_plan, write_plan
from lorif_core.store.reader import StoreReader

PLAN = plan_of()
NUMBERS = st.integers(0, PLAN.num_parts - 1)


def made(number: int, hardware: int) -> tuple[PartEntry, bytes]:
    """What a worker puts: the tensors, and then the entry."""
    rows = PLAN.rows_of(number)
    content = save({"norms": arange(rows.start, rows.stop) + 100.0 * hardware})
    checksum = start_hash(content).hexdigest()
    facts = vars(ShardFacts(num_truncated=0, num_without_targets=0, kept_energy=[3.0], total_energy=[9.0]))
    file = f"parts/{number:05d}-{checksum}.safetensors"
    shard = ShardEntry(
        **facts, file=file, start=rows.start, num_examples=len(rows), size_bytes=len(content), checksum=checksum
    )
    return PartEntry(fingerprint_of_plan(PLAN), shard, Origin("cpu", "2", f"worker {hardware}", 1.0)), content


class Build(RuleBasedStateMachine):
    """One index, any number of workers."""

    at_work = Bundle("at_work")

    def __init__(self) -> None:
        super().__init__()
        objects = ObstoreObjects("memory://test")
        self.seen_by_all = ObjectPlace(objects, "memory://test", "ix", no_wait)
        self.place = ObjectPlace(FaultyObjects(objects, seed=1), "memory://test", "ix", no_wait)
        write_plan(self.place, PLAN)
        self.winners: dict[int, PartEntry] = {}
        self.compacted: bytes | None = None

    @rule(target=at_work, number=NUMBERS, hardware=st.integers(0, 2))
    def start(self, number, hardware):
        """A worker has put the tensors of a part, also of one that another one has."""
        entry, content = made(number, hardware)
        if number not in self.winners:
            self.place.create(entry.shard.file, content)
        return number, entry

    @rule(work=consumes(at_work))
    def crash(self, work):
        """It ends there."""

    @rule(work=at_work)
    def finish(self, work):
        """It puts the entry; a second time, where the bundle gives the same work again."""
        number, entry = work
        winner = write_entry(self.place, number, entry)
        assert winner == self.winners.setdefault(number, winner)

    @rule()
    def sweep(self):
        sweep_leftovers(self.place)

    @rule()
    def compact(self):
        try:
            manifest = compact(self.place)
        except ArtefactError:
            assert len(self.winners) < PLAN.num_parts
            return
        assert [shard.start for shard in manifest.shards] == [0, 2, 4, 6]

    @invariant()
    def there_is_one_entry_of_a_part_and_it_stays(self):
        names = [name for name in self.seen_by_all.listed("parts") if name.endswith(".json")]
        assert names == [f"parts/{number:05d}.json" for number in sorted(self.winners)]
        assert finished_parts(self.seen_by_all) == dict(sorted(self.winners.items()))
        assert missing_parts(PLAN, self.seen_by_all) == [n for n in range(PLAN.num_parts) if n not in self.winners]

    @invariant()
    def tensors_of_an_entry_are_there(self):
        for entry in self.winners.values():
            content = self.seen_by_all.read(entry.shard.file)
            assert start_hash(content).hexdigest() == entry.shard.checksum
            assert re.search(r"-([0-9a-f]{32})\.", entry.shard.file)[1] == entry.shard.checksum

    @invariant()
    def a_manifest_has_every_part_once_and_never_changes(self):
        if not self.seen_by_all.has(MANIFEST):
            assert self.compacted is None
            return
        content = self.seen_by_all.read(MANIFEST)
        assert self.compacted in (None, content)
        self.compacted = content
        shards = read_manifest(self.seen_by_all).shards
        assert shards == [self.winners[number].shard for number in range(PLAN.num_parts)]
        assert len(list(StoreReader(self.seen_by_all).iter_shards())) == PLAN.num_parts


Build.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestBuild = Build.TestCase
