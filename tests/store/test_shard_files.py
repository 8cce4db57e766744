"""Shards on disk: their size to the byte count that was promised, and what is read back."""

import threading
import time
from dataclasses import replace

import pytest
import torch

from lorif_core.errors import ArtefactError, DamagedArtefact
from lorif_core.linalg.codecs import column_codec
from lorif_core.linalg.factors import Factors
from lorif_core.linalg.gradients import DenseGradient
from lorif_core.linalg.subspace import Subspace
from lorif_core.shapes import ModuleShape
from lorif_core.store import reader
from lorif_core.store.blocks import (
    NUMBERS_BYTES,
    Buffers,
    block_rows,
    bytes_per_example,
    encode_block,
    subspace_from_tensors,
    subspace_tensors,
)
from lorif_core.store.manifest import KeptEnergy, compact, fingerprint_of_manifest, read_manifest
from lorif_core.store.parts import Origin, ShardFacts, write_part
from lorif_core.store.plan import Parents, Plan, write_plan
from lorif_core.store.reader import StoreReader
from lorif_core.store.writer import write_subspace

CODECS = ["bf16", "int8", "int4", "sign"]
MODULES = [
    ModuleShape("first", 32, 96, 8, 23),
    ModuleShape("second", 128, 32, 32, 9),
    ModuleShape("thin", 4, 5, 1, 1),
]
NUM_EXAMPLES = 2_048
PATIENCE_S = 300
RANK = 2


def plan_of(codec, layout, num_examples, shard_examples, scales=None):
    parents = Parents("data", "model", "tokenizer")
    return Plan(
        layout=layout,
        codec=codec,
        factor_rank=RANK,
        f=4,
        seed=0,
        max_length=64,
        parents=parents,
        modules=MODULES,
        maps_digest="maps",
        num_examples=num_examples,
        shard_examples=shard_examples,
        scales=scales,
    )


def random_block(module, layout, count, rng):
    if layout == "dense":
        return DenseGradient(torch.randn(count, module.d_in, module.d_out, generator=rng))
    rank = min(RANK, module.d_in, module.d_out)
    return Factors(
        torch.randn(count, rank, module.d_in, generator=rng), torch.randn(count, rank, module.d_out, generator=rng)
    )


def write(folder, codec, layout, count, rng, num_shards=1, scales=None):
    """Random gradients as shards of ``count`` examples; returns the blocks per shard and module."""
    plan, blocks = plan_of(codec, layout, count * num_shards, count, scales), []
    write_plan(folder, plan)
    facts = ShardFacts(
        num_truncated=1,
        num_without_targets=0,
        kept_energy=[3.0] * len(MODULES),
        total_energy=[4.0] * len(MODULES),
    )
    for number in range(num_shards):
        blocks.append({module.name: random_block(module, layout, count, rng) for module in MODULES})
        tensors = {"norms": torch.ones(count), "num_tokens": torch.arange(count, dtype=torch.int32)}
        for module in MODULES:
            tensors |= encode_block(blocks[-1][module.name], module.name, plan.column_codec)
        write_part(folder, plan, number, tensors, facts, Origin("cpu", "2", "test", 0.5))
    compact(folder)
    return blocks


def tensors_of_part(folder, number):
    (path,) = folder.glob(f"parts/{number:05d}-*.safetensors")
    return path


def rank_of(module):
    return min(RANK, module.d_in, module.d_out)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("layout", ["factors", "dense"])
def test_a_shard_takes_the_promised_bytes_per_example(codec, layout, tmp_path, rng):
    write(tmp_path, codec, layout, NUM_EXAMPLES, rng)
    promised = bytes_per_example(MODULES, column_codec(codec), rank_of, layout) + NUMBERS_BYTES
    found = tensors_of_part(tmp_path, 0).stat().st_size / NUM_EXAMPLES
    assert promised <= found <= 1.02 * promised


@pytest.mark.parametrize("codec", ["int8", "int4", "sign"])
def test_a_term_with_one_scale_is_read_back_and_takes_two_bytes_less(codec, tmp_path, rng):
    for scales in (None, "term"):
        rng.manual_seed(1)
        write(tmp_path / str(scales), codec, "factors", 40, rng, scales=scales)
    two, one = (next(StoreReader(tmp_path / scales).iter_shards()) for scales in ("None", "term"))
    for module in MODULES:
        found, wanted = block_rows(one.block(module)), block_rows(two.block(module))
        torch.testing.assert_close(found, wanted, rtol=0, atol=2**-8 * float(wanted.abs().max()))
    terms = sum(map(rank_of, MODULES))
    plain, shared = (
        bytes_per_example(MODULES, column_codec(codec, one), rank_of, "factors") for one in (None, "term")
    )
    assert plain - shared == 2 * terms


@pytest.mark.parametrize("codec", CODECS)
def test_bytes_per_example_by_hand(codec):
    # Two columns a side of 8 + 23 and 32 + 9 numbers, one of 1 + 1: 146 numbers in 10 columns, each rounded up
    # to bytes, with 2 bytes of scale a column but for bf16.
    numbers = {"bf16": 2 * 146, "int8": 146, "int4": 2 * (4 + 12 + 16 + 5) + 2, "sign": 2 * (1 + 3 + 4 + 2) + 2}
    scales = 0 if codec == "bf16" else 2 * 10
    assert bytes_per_example(MODULES, column_codec(codec), rank_of, "factors") == numbers[codec] + scales


@pytest.mark.parametrize("layout", ["factors", "dense"])
def test_gradients_read_back_are_those_written_to_bf16(layout, tmp_path, rng):
    blocks = write(tmp_path, "bf16", layout, 10, rng, num_shards=3)
    opened = StoreReader(tmp_path)
    assert len(blocks) == 3
    for shard, written in zip(opened.iter_shards(), blocks, strict=True):
        for module in MODULES:
            # Each factor is off by 2⁻⁹ of itself, so a product by twice that and a little.
            found, expected = block_rows(shard.block(module)), block_rows(written[module.name])
            torch.testing.assert_close(found, expected, rtol=0, atol=3 * 2**-8 * float(expected.abs().max()))


def test_shards_come_in_store_order_with_their_positions(tmp_path, rng):
    write(tmp_path, "int8", "factors", 10, rng, num_shards=4)
    assert [(shard.start, shard.num_examples) for shard in StoreReader(tmp_path).iter_shards()] == [
        (0, 10),
        (10, 10),
        (20, 10),
        (30, 10),
    ]


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("layout", ["factors", "dense"])
def test_a_part_of_a_shard_is_those_rows_of_the_whole(codec, layout, tmp_path, rng):
    write(tmp_path, codec, layout, 9, rng, num_shards=2)
    shard = list(StoreReader(tmp_path).iter_shards())[1]
    part = shard.part(slice(2, 8)).part(slice(1, 4))
    assert (part.start, part.num_examples) == (12, 3)
    assert part.num_tokens().tolist() == [3, 4, 5]
    for module in MODULES:
        assert torch.equal(block_rows(part.block(module)), block_rows(shard.block(module))[3:6])


@pytest.mark.parametrize("codec", CODECS)
def test_sides_decoded_one_by_one_are_those_of_the_block(codec, tmp_path, rng):
    write(tmp_path, codec, "factors", 9, rng)
    (shard,) = StoreReader(tmp_path).iter_shards()
    for module in MODULES:
        block, coded = shard.block(module), shard.factors(module, Buffers())
        assert isinstance(block, Factors)
        assert coded is not None
        assert torch.equal(coded.left, block.left)
        assert torch.equal(coded.right, block.right)
        assert (coded.signs() is not None) == (codec == "sign")


@pytest.mark.parametrize("codec", CODECS)
def test_modules_that_share_buffers_decode_as_with_their_own(codec, tmp_path, rng):
    write(tmp_path, codec, "factors", 9, rng)
    (shard,) = StoreReader(tmp_path).iter_shards()
    buffers = Buffers()
    for module in [*MODULES, *reversed(MODULES), *MODULES]:  # what lies in a buffer is another module's, or its own
        shared, own = shard.factors(module, buffers), shard.factors(module, Buffers())
        assert shared is not None
        assert own is not None
        left, right = shared.left, shared.right
        assert torch.equal(left, own.left)
        assert torch.equal(right, own.right)


def test_whole_gradients_have_no_factors(tmp_path, rng):
    write(tmp_path, "bf16", "dense", 3, rng)
    assert [shard.factors(MODULES[0], Buffers()) for shard in StoreReader(tmp_path).iter_shards()] == [None]


@pytest.mark.parametrize("position", [0, 9, 10, 19])
def test_one_example_is_found_by_its_position(position, tmp_path, rng):
    write(tmp_path, "int8", "factors", 10, rng, num_shards=2)
    opened = StoreReader(tmp_path)
    example = opened.at(position)
    assert (example.start, example.num_examples, example.number) == (position, 1, position // 10)
    whole = torch.cat([block_rows(shard.block(MODULES[0])) for shard in opened.iter_shards()])
    assert torch.equal(block_rows(example.block(MODULES[0])), whole[position : position + 1])


@pytest.mark.parametrize("num_shards", [0, 1, 2, 9])
def test_shards_worked_on_at_once_come_in_store_order(num_shards, three_threads, tmp_path, rng):
    write(tmp_path, "int8", "factors", 10, rng, num_shards=max(num_shards, 1))
    manifest = read_manifest(tmp_path)
    opened = StoreReader(tmp_path, replace(manifest, shards=manifest.shards[:num_shards]))
    found = list(opened.map_shards(lambda shard: (shard.number, shard.start, shard.num_tokens().tolist())))
    assert found == [(number, 10 * number, list(range(10))) for number in range(num_shards)]


def test_shards_too_large_for_memory_are_worked_on_by_fewer(three_threads, tmp_path, rng, monkeypatch):
    write(tmp_path, "int8", "factors", 10, rng, num_shards=4)

    def num_workers(working_bytes, expected):
        """How many work at once; at least as many as are expected, or their barrier breaks."""
        monkeypatch.setattr(reader, "WORKING_BYTES", working_bytes)
        all_at_work = threading.Barrier(expected, timeout=PATIENCE_S)

        def work(shard):
            if shard.number < expected:
                all_at_work.wait()
            time.sleep(0.05)  # so that one more, if there were one, would get a shard too
            return threading.current_thread().name

        return len(set(StoreReader(tmp_path).map_shards(work)))

    largest = 10 * 4 * RANK * (8 + 2 * 23)  # examples, bytes, and the numbers of the module "first"
    assert num_workers(3 * largest, 3) == 3
    assert num_workers(3 * largest - 1, 2) == 2
    assert num_workers(2 * largest - 1, 1) == 1


@pytest.mark.parametrize("num_threads", [1, 3])
def test_a_pass_names_the_damaged_shard_after_those_before_it(num_threads, three_threads, tmp_path, rng):
    write(tmp_path, "sign", "factors", 3, rng, num_shards=9)
    path = tensors_of_part(tmp_path, 4)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    torch.set_num_threads(num_threads)
    numbers = StoreReader(tmp_path).map_shards(lambda shard: shard.number)
    assert [next(numbers) for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(DamagedArtefact, match=r"00004-\w+.safetensors' is damaged"):
        next(numbers)


def test_a_manifest_read_back_equals_the_one_written(tmp_path, rng):
    write(tmp_path, "int4", "factors", 10, rng, num_shards=2)
    manifest = read_manifest(tmp_path)
    assert manifest.modules == MODULES
    assert manifest.num_stored == 20
    assert manifest.status == "gradients"
    assert manifest.parents == Parents("data", "model", "tokenizer")


def test_explained_energy_is_kept_over_total_over_all_shards(tmp_path, rng):
    write(tmp_path, "int4", "factors", 10, rng, num_shards=2)
    manifest = read_manifest(tmp_path)
    assert manifest.explained_energy() == dict.fromkeys(("first", "second", "thin"), 0.75)
    assert manifest.kept_energy() == KeptEnergy(None, 0.75)


def with_stored_energy(manifest, *energies):
    """The same, as shards would say it that measured what is left after rounding; None: one that did not."""
    pairs = zip(manifest.shards, energies, strict=True)
    return replace(
        manifest,
        shards=[replace(shard, stored_energy=None if one is None else [one] * len(MODULES)) for shard, one in pairs],
    )


def test_what_is_kept_as_stored_comes_first_and_nothing_of_it_is_clipped(tmp_path, rng):
    write(tmp_path, "int4", "factors", 10, rng, num_shards=2)
    manifest = with_stored_energy(read_manifest(tmp_path), 1.0, -3.0)
    assert manifest.explained_energy() == dict.fromkeys(("first", "second", "thin"), -0.25)
    assert manifest.kept_energy() == KeptEnergy(-0.25, 0.75)
    assert "What is stored keeps -25% of the squared norm" in manifest.kept_energy().sentence
    assert manifest.kept_energy().sentence.endswith("before rounding it is 75%.")


def test_one_shard_of_an_older_version_is_enough_not_to_say_what_is_kept_as_stored(tmp_path, rng):
    write(tmp_path, "int4", "factors", 10, rng, num_shards=2)
    manifest = with_stored_energy(read_manifest(tmp_path), 1.0, None)
    assert manifest.kept_energy() == KeptEnergy(None, 0.75)
    assert manifest.explained_energy() == dict.fromkeys(("first", "second", "thin"), 0.75)
    assert manifest.kept_energy().sentence.startswith("Before rounding the factors keep 75%")


def test_what_is_kept_as_stored_is_no_part_of_the_fingerprint(tmp_path, rng):
    write(tmp_path, "int4", "factors", 10, rng, num_shards=2)
    manifest = read_manifest(tmp_path)
    assert fingerprint_of_manifest(with_stored_energy(manifest, 1.0, 2.0)) == fingerprint_of_manifest(manifest)


def test_a_subspace_read_back_is_the_one_written(tmp_path, rng):
    subspace = Subspace(torch.randn(7, 3, generator=rng), torch.rand(3, generator=rng), 12.345678901234567)
    entry = write_subspace(tmp_path, 4, subspace)
    assert entry.file == "subspace/00004.safetensors"
    found = subspace_from_tensors(subspace_tensors(subspace))
    assert torch.equal(found.basis, subspace.basis)
    assert torch.equal(found.spectrum, subspace.spectrum)
    assert found.trace == subspace.trace


def test_an_index_without_its_fit_is_refused_for_reading_subspaces(tmp_path, rng):
    write(tmp_path, "int4", "factors", 10, rng)
    with pytest.raises(
        ArtefactError, match=r"is not complete, .* after 10 of 10 examples. Run the same `lorif index`"
    ):
        StoreReader(tmp_path).subspace(MODULES[0])


def test_every_flipped_byte_of_a_shard_is_found(tmp_path, rng):
    write(tmp_path, "sign", "factors", 3, rng)
    path = tensors_of_part(tmp_path, 0)
    whole = path.read_bytes()
    assert len(whole) > 1000
    for place in range(0, len(whole), 37):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with pytest.raises(DamagedArtefact, match=r"00000-\w+.safetensors' is damaged: its checksum is"):
            list(StoreReader(tmp_path).iter_shards())


def test_writing_the_same_tensors_twice_gives_the_same_checksum(tmp_path, rng):
    for folder in ("one", "two"):
        write(tmp_path / folder, "int8", "factors", 5, torch.Generator().manual_seed(3))
    one, two = (read_manifest(tmp_path / folder).shards for folder in ("one", "two"))
    assert one == two
