"""Search by a cascade, against scores in float64 of gradients that are rebuilt from the store."""

from dataclasses import replace

import pytest
import torch
from oracles import close
from random_indexes import MODULES, RANKS, random_gradients, random_index, random_plan

from lorif_core.passes import cascade_plan
from lorif_core.passes.cascade import search_by_cascade
from lorif_core.passes.cascade_plan import Forced, Summand, plan_reading, take_sample
from lorif_core.passes.ceilings import Ceilings, cut_all
from lorif_core.passes.gathered import with_terms
from lorif_core.passes.products import shard_products
from lorif_core.passes.scoring import scores_per_product

SIZES = (160, 160, 160, 120)


@pytest.fixture(autouse=True)
def small_sample(monkeypatch):
    """A sample that is not the whole of an index of six hundred texts."""
    monkeypatch.setattr(cascade_plan, "SMALLEST_SAMPLE", 60)


def summand(reader, *, rank=2, seed=1, normalisation="relatif"):
    plan = random_plan(reader, random_gradients(reader, 1, rank=rank, seed=seed), normalisation=normalisation)
    return Summand(reader, plan.queries, scores_per_product(plan)), plan


def oracle_scores(reader, plan):
    """Of every text, one module after the other in float64."""
    total = torch.zeros(reader.manifest.num_examples, dtype=torch.float64)
    own = torch.cat([reader.self_influence(shard) for shard in reader.iter_shards()]).double()
    for module in reader.modules:
        rows = torch.cat([shard.block(module).dense() for shard in reader.iter_shards()]).double()
        total += (rows * plan.matrices[module.name].double()).sum((1, 2))
    return total / own.sqrt() if plan.normalisation == "relatif" else total


@pytest.mark.parametrize(
    ("codec", "layout", "scales"),
    [
        ("sign", "factors", None),
        ("sign", "factors", "term"),
        ("int8", "factors", "term"),
        ("bf16", "factors", None),
        ("int8", "dense", None),
    ],
)
def test_with_all_terms_it_is_the_exact_list(tmp_path, codec, layout, scales):
    reader = random_index(tmp_path / "ix", codec, layout, sizes=SIZES, scales=scales)
    asked, plan = summand(reader)
    found = search_by_cascade([asked], 10, 5, forced=Forced(num_terms=99))
    expected = oracle_scores(reader, plan)
    assert found.positions.tolist() == expected.argsort(descending=True)[:10].tolist()
    close(found.scores.double(), expected.sort(descending=True).values[:10], relative=1e-4)
    assert found.opposing.tolist() == expected.argsort()[:5].tolist()
    close(found.opposing_scores.double(), expected.sort().values[:5], relative=1e-4)


def test_members_are_added_up(tmp_path):
    readers = [random_index(tmp_path / str(seed), sizes=SIZES, seed=seed) for seed in (0, 1)]
    (first, plan), (second, other) = (summand(reader, normalisation="none") for reader in readers)
    expected = oracle_scores(readers[0], plan) - 0.5 * oracle_scores(readers[1], other)
    second = replace(second, per_product=second.per_product * -0.5)
    found = search_by_cascade([first, second], 8, forced=Forced(num_terms=99))
    assert found.positions.tolist() == expected.argsort(descending=True)[:8].tolist()
    close(found.scores.double(), expected.sort(descending=True).values[:8], relative=1e-4)


def test_an_index_that_is_all_sample_is_exact(tmp_path, monkeypatch):
    monkeypatch.setattr(cascade_plan, "SMALLEST_SAMPLE", 10_000)
    reader = random_index(tmp_path / "ix", sizes=SIZES)
    asked, plan = summand(reader)
    found = search_by_cascade([asked], 700)
    assert found.positions.tolist() == oracle_scores(reader, plan).argsort(descending=True).tolist()
    assert found.report.is_proved
    assert found.report.ceiling is None
    assert found.report.share_read == 1.0


@pytest.mark.parametrize(
    ("codec", "scales"), [("sign", None), ("sign", "term"), ("int4", "term"), ("int8", None), ("bf16", None)]
)
@pytest.mark.parametrize("rank", [None, 1])
def test_no_score_lies_farther_from_what_was_read_than_its_ceiling_says(tmp_path, codec, scales, rank):
    reader = random_index(tmp_path / "ix", codec, sizes=(40,), scales=scales)
    asked, plan = summand(reader, rank=3, normalisation="none")
    (cut,) = cut_all(reader, asked.queries, [rank])
    terms = {"a": [1], "d": [0, 2], "head": [2]}
    ceilings = Ceilings(reader, asked.queries, cut, terms)
    shard = reader.shard(0)
    modules = [module for module in reader.modules if module.name in terms]
    read = {name: one.queries for name, one in cut.items()}
    partials = shard_products(with_terms(shard, terms), modules, read)[0].double()
    missed = (oracle_scores(reader, plan) - partials).abs()
    assert (missed <= ceilings.of_shard(shard).double()).all()
    if codec == "sign":  # as tight as its own terms make it, not just large
        assert (missed > 0.02 * ceilings.of_shard(shard).double()).any()


def test_chosen_terms_are_the_sums_of_their_own_factors(tmp_path):
    reader = random_index(tmp_path / "ix", "int8", sizes=(12,))
    asked, plan = summand(reader, normalisation="none")
    shard, module = reader.shard(0), MODULES[3]
    for terms in ([0], [1, 2], [0, 2]):
        block = shard.block(module)
        rows = block.left[:, terms].double().mT @ block.right[:, terms].double()
        expected = (rows * plan.matrices["d"][0].double()).sum((1, 2))
        found = shard_products(with_terms(shard, {"d": terms}), [module], asked.queries)[0]
        close(found.double(), expected, relative=1e-5)


def test_the_sample_knows_what_every_term_adds(tmp_path):
    reader = random_index(tmp_path / "ix", sizes=SIZES)
    asked, plan = summand(reader)
    sample = take_sample([asked])
    assert len(sample.terms) == sum(RANKS.values())
    assert len(sample.positions.unique()) == 60
    close(sample.scores.double(), oracle_scores(reader, plan)[sample.positions], relative=1e-4)
    number = [(term.module, term.place) for term in sample.terms].index(("d", 1))
    blocks = [shard.block(MODULES[3]) for shard in reader.iter_shards()]
    left, right = (torch.cat([getattr(one, side)[:, 1] for one in blocks]).double() for side in ("left", "right"))
    expected = torch.einsum("ni,io,no->n", left, plan.matrices["d"][0].double(), right) * asked.per_product.double()
    close(sample.contributions[number].double(), expected[sample.positions], relative=1e-4)


def plant(reader, tmp_path, position, factor):
    """The index with the scale of term 2 of module d of one text multiplied."""
    from safetensors.torch import load_file, save_file

    number = position // SIZES[0]
    path = reader.place.folder / f"{number}.safetensors"
    tensors = load_file(path)
    row = position - SIZES[0] * number
    tensors["left_scale/d"][row, 2] *= factor
    save_file(tensors, path)
    return type(reader)(reader.place.folder, reader.manifest)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_huge_score_in_a_term_that_is_not_read_is_found(tmp_path, sign):
    reader = random_index(tmp_path / "ix", sizes=SIZES)
    asked, plan = summand(reader, normalisation="none")
    sampled = set(take_sample([asked]).positions.tolist())
    position = next(one for one in range(200, 600) if one not in sampled)
    planted = plant(reader, tmp_path, position, sign * 1000.0)
    asked, plan = summand(planted, normalisation="none")
    expected = oracle_scores(planted, plan)
    turned = 1 if expected[position] > 0 else -1
    forced = Forced(num_terms=1, chooses_candidates=False)
    reading = plan_reading(take_sample([asked]), 3, 3, forced)
    assert "d" not in reading.terms[0]
    found = search_by_cascade([asked], 3, 3, forced=forced)
    listed = found.positions if turned > 0 else found.opposing
    assert listed[0] == position
    # What is guaranteed: nothing above the ceiling is missing.
    above = (expected > found.report.ceiling).nonzero()[:, 0].tolist()
    assert set(above) <= set(found.scored.tolist())


def test_what_is_said_of_all_scores_comes_near(tmp_path):
    reader = random_index(tmp_path / "ix", sizes=SIZES)
    asked, plan = summand(reader)
    found, expected = search_by_cascade([asked], 20), oracle_scores(reader, plan)
    spread = found.spread()
    assert spread.num_scores == 600
    assert abs(spread.mean - float(expected.mean())) < 0.3 * float(expected.std())
    assert abs(spread.deviation / float(expected.std()) - 1) < 0.3
    assert abs(found.positive_total / float(expected.clamp_min(0).sum()) - 1) < 0.3


def test_the_report_counts_what_was_read(tmp_path):
    reader = random_index(tmp_path / "ix", sizes=SIZES)
    asked, _ = summand(reader)
    found = search_by_cascade([asked], 3, forced=Forced(num_terms=2, chooses_candidates=False))
    report = found.report
    assert report.num_terms == 2
    assert report.num_all_terms == sum(RANKS.values())
    assert 0 < report.share_read < 1
    assert 0 <= report.expected_recall <= 1
    assert report.sample_size == 60
    assert report.num_candidates == len(found.scored) - 60
