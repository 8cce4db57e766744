"""How shards come to a device and stay there; ``tests/gpu/test_scoring_on_device.py`` has the scores."""

import threading

import pytest
import torch
from indexes import FULL, disk_index
from random_indexes import DAMPED, MODULES, close_to, influences, random_gradients, random_index, random_plan
from torch.utils._python_dispatch import TorchDispatchMode

from lorif_core.errors import ArtefactError, DamagedArtefact
from lorif_core.passes import device_shards
from lorif_core.passes.device_shards import ScoringDevice, rows_at_once, stream_shards

CPU = torch.device("cpu")


def plan_of(reader, place=None, *, num_queries=2):
    return random_plan(reader, random_gradients(reader, num_queries, rank=2), place, query_rank=2)


def products(place, plan):
    return torch.cat([one.products for one in place.iter_products(plan.reader, plan.queries)], 1)


def move_files(folder):
    for path in folder.glob("*.safetensors"):
        path.rename(path.with_suffix(".moved"))


def free(monkeypatch, size_bytes):
    monkeypatch.setattr(device_shards, "free_bytes", lambda device: size_bytes)


def test_an_index_that_stays_is_not_read_again_and_one_that_streams_is(tmp_path):
    plan, place = plan_of(random_index(tmp_path)), ScoringDevice(CPU)
    wanted = influences(plan)[1]
    close_to(products(place, plan), wanted)
    move_files(tmp_path)
    close_to(products(place, plan), wanted)
    with pytest.raises(ArtefactError, match="is missing"):
        products(ScoringDevice(CPU, 0), plan)


def test_an_index_built_anew_in_the_same_folder_is_another(tmp_path):
    place = ScoringDevice(CPU)
    products(place, plan_of(random_index(tmp_path, seed=0)))
    plan = plan_of(random_index(tmp_path, seed=1))
    close_to(products(place, plan), influences(plan)[1])


def test_what_stays_is_bounded_and_the_one_asked_longest_ago_goes(tmp_path, monkeypatch):
    plans = [plan_of(random_index(tmp_path / str(seed), seed=seed)) for seed in range(3)]
    size, place = plans[0].reader.manifest.shard_bytes, ScoringDevice(CPU, 0.5)
    products(place, plans[0])
    held = place.resident_bytes  # less than the files, whose headers stay behind
    # Two fit, three do not, whether or not what is held counts as free.
    free(monkeypatch, 2 * (size + held) - held)
    for number in (1, 0, 2):
        products(place, plans[number])
        free(monkeypatch, 2 * (size + held) - place.resident_bytes)
    assert place.resident_bytes == 2 * held
    for number in range(3):
        move_files(tmp_path / str(number))
    for number in (0, 2):
        products(place, plans[number])
    with pytest.raises(ArtefactError, match="is missing"):
        products(place, plans[1])


def test_an_index_that_does_not_fit_streams_and_drives_no_other_away(tmp_path, monkeypatch):
    small, large = random_index(tmp_path / "small", sizes=(2,)), random_index(tmp_path / "large")
    place = ScoringDevice(CPU, 0.5)
    products(place, plan_of(small))
    held = place.resident_bytes
    free(monkeypatch, large.manifest.shard_bytes)
    plan = plan_of(large)
    close_to(products(place, plan), influences(plan)[1])
    assert place.resident_bytes == held > 0


def test_where_memory_runs_out_the_indexes_go_and_the_work_is_done_once_more(tmp_path):
    place, tries = ScoringDevice(CPU), []
    products(place, plan_of(random_index(tmp_path)))

    def work():
        tries.append(place.resident_bytes)
        if place.resident_bytes:
            raise torch.OutOfMemoryError("no memory")
        return "done"

    assert place.with_room(work) == "done"
    assert tries[0] > 0 == tries[1]

    def hopeless():
        raise torch.OutOfMemoryError("no memory")

    with pytest.raises(torch.OutOfMemoryError):
        place.with_room(hopeless)


def test_memory_that_runs_out_while_an_index_is_brought_leaves_it_to_stream(tmp_path, monkeypatch):
    def join(reader, device):
        raise torch.OutOfMemoryError("no memory")

    monkeypatch.setattr(device_shards, "join_shards", join)
    place, plan = ScoringDevice(CPU), plan_of(random_index(tmp_path))
    close_to(products(place, plan), influences(plan)[1])
    assert place.resident_bytes == 0


@pytest.mark.parametrize("share", [0.0, 0.5], ids=["streamed", "resident"])
@pytest.mark.parametrize("at_once", [1, 3, 7, 14, 20, 1000])
def test_examples_may_be_taken_in_any_pieces(at_once, share, tmp_path, monkeypatch):
    plan = plan_of(random_index(tmp_path))
    monkeypatch.setattr(device_shards, "rows_at_once", lambda *arguments: at_once)
    close_to(products(ScoringDevice(CPU, share), plan), influences(plan)[1])


def test_as_many_examples_are_taken_as_have_room_as_numbers(tmp_path):
    plan = plan_of(random_index(tmp_path))
    # Of the head, which has most: 3 columns, each 13 + 50 numbers twice and four times the queries' 2 · 2
    # directions, and 2 scores.
    one = 4 * (3 * (2 * 63 + 4 * 4) + 2)
    assert rows_at_once(plan.reader.manifest, plan.queries, 10 * one) == 10
    assert rows_at_once(plan.reader.manifest, plan.queries, 10 * one - 1) == 9
    assert rows_at_once(plan.reader.manifest, plan.queries, 1) == 1


def test_streamed_shards_are_those_of_the_files_and_two_buffers_hold_them(tmp_path):
    reader, memory = random_index(tmp_path), set()
    for streamed, read in zip(stream_shards(reader, CPU), reader.iter_shards(), strict=True):
        assert (streamed.number, streamed.start, streamed.num_examples) == (
            read.number,
            read.start,
            read.num_examples,
        )
        for module in MODULES:
            assert torch.equal(streamed.block(module).dense(), read.block(module).dense())
        memory.add(streamed.tensor("norms").untyped_storage().data_ptr())
        assert read.tensor("norms").untyped_storage().data_ptr() not in memory
    assert len(memory) == 2


def test_a_pass_that_is_left_early_leaves_no_thread_and_can_be_made_again(tmp_path):
    place, plan = ScoringDevice(CPU, 0), plan_of(random_index(tmp_path))
    before = threading.active_count()
    started = place.iter_products(plan.reader, plan.queries)
    next(started)
    started.close()
    assert threading.active_count() == before
    close_to(products(place, plan), influences(plan)[1])


@pytest.mark.parametrize("share", [0.0, 0.5], ids=["streamed", "resident"])
def test_a_damaged_shard_is_named(share, tmp_path):
    reader = disk_index(tmp_path, FULL, DAMPED, "sign")
    path = tmp_path / reader.manifest.shards[1].file
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    reader = type(reader)(tmp_path, reader.manifest)
    place = ScoringDevice(CPU, share)
    with pytest.raises(DamagedArtefact, match=path.name):
        products(place, plan_of(reader))
    assert place.resident_bytes == 0


class Waits(TorchDispatchMode):
    """Counts operations that make a host wait for a GPU."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func._schema.name in ("aten::_local_scalar_dense", "aten::nonzero", "aten::equal", "aten::is_nonzero"):
            self.found.append(func)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(("layout", "codec"), [("factors", "sign"), ("factors", "int4"), ("dense", "bf16")])
@pytest.mark.parametrize("num_queries", [1, 3])
def test_no_number_is_looked_at_during_a_pass(layout, codec, num_queries, tmp_path):
    plan = plan_of(random_index(tmp_path, codec, layout), num_queries=num_queries)
    with Waits() as waits:
        products(ScoringDevice(CPU, 0), plan)
    assert waits.found == []
    with Waits() as waits:
        torch.ones(1).item()
    assert len(waits.found) == 1
