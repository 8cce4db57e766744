import pytest
import torch
from indexes import LOGRA, QUERIES, source_of
from oracles import close, example_loss, project, weight_gradients

from lorif_core.capture.hooks import frozen
from lorif_core.config import ScoreConfig
from lorif_core.errors import ResourceError
from lorif_core.linalg.factors import Factors
from lorif_core.linalg.gradients import DenseGradient
from lorif_core.methods.logra import Logra
from lorif_core.methods.lorif import Lorif
from lorif_core.methods.method_settings import LograConfig, LorifConfig
from lorif_core.passes.queries import Query, capture_queries
from lorif_core.shapes import ModuleShape

NARROW = ModuleShape("narrow", 40, 20, 10, 5)
WIDE = ModuleShape("wide", 4000, 2000, 1000, 500)


@pytest.mark.parametrize("method", [Logra(LograConfig()), Lorif(LorifConfig(factor_rank=1, subspace_rank=256))])
def test_a_curvature_that_does_not_fit_is_refused_with_the_widest_module(method):
    with pytest.raises(ResourceError, match=r"module 'wide'.*([Rr]aise|Pass) `--f"):
        method.curvature.check([NARROW, WIDE, NARROW], 10**8)


@pytest.mark.parametrize("method", [Logra(LograConfig()), Lorif(LorifConfig(factor_rank=1, subspace_rank=256))])
def test_a_curvature_that_fits_is_accepted(method):
    method.curvature.check([NARROW, NARROW], 10**8)


def test_without_curvature_there_is_nothing_to_fit_into_memory():
    Lorif(LorifConfig(factor_rank=1, subspace_rank=0)).curvature.check([WIDE], 0)


@pytest.mark.parametrize(("factor_rank", "kept"), [(1, 1), (5, 5), (9, 5)])
def test_a_module_narrower_than_the_factor_rank_keeps_its_full_rank(factor_rank, kept, rng):
    gradient = DenseGradient(torch.randn(2, 10, 5, generator=rng))
    block = Lorif(LorifConfig(factor_rank=factor_rank, subspace_rank=0)).feature.compress(gradient, NARROW)
    assert isinstance(block, Factors)
    assert block.left.shape == (2, kept, 10)
    assert block.right.shape == (2, kept, 5)


def test_methods_that_differ_only_in_seed_start_apart_and_agree(rng):
    gradient = DenseGradient(torch.randn(2, 10, 5, generator=rng))
    first, second = (
        Lorif(LorifConfig(factor_rank=5, subspace_rank=0, seed=seed)).feature.compress(gradient, NARROW)
        for seed in (0, 1)
    )
    assert not torch.equal(first.left, second.left)
    torch.testing.assert_close(first.dense(), second.dense(), rtol=1e-4, atol=1e-5)


LOSS = ScoreConfig()


def captured(queries, asked=LOSS):
    source = source_of(LOGRA)
    with frozen(source.model):
        return capture_queries(source, queries, asked), source


@pytest.mark.parametrize("weights", [(1.0, -1.0), (0.5, 2.0)])
def test_a_query_is_the_weighted_sum_of_its_sequences(weights):
    sequences = QUERIES[0].sequences + QUERIES[1].sequences
    found, source = captured([Query("a", sequences, weights), QUERIES[2]], ScoreConfig(objective="contrast"))
    parts = [weight_gradients(source.model, source.maps, one.input_ids, one.is_target) for one in sequences]
    for name, maps in source.maps.items():
        wanted = sum(
            weight * project(part[name], maps.input_map, maps.output_map)
            for weight, part in zip(weights, parts, strict=True)
        )
        close(found.matrices[name][0], wanted, relative=1e-4)
    losses = [example_loss(source.model, one.input_ids, one.is_target).item() for one in sequences]
    assert found.objectives[0].item() == pytest.approx(weights[0] * losses[0] + weights[1] * losses[1], rel=1e-5)


def test_queries_keep_their_order_whatever_their_lengths():
    found, source = captured(QUERIES)
    wanted = [example_loss(source.model, q.sequences[0].input_ids, q.sequences[0].is_target).item() for q in QUERIES]
    assert found.objectives.tolist() == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("queries", [QUERIES, [Query("c", QUERIES[0].sequences + QUERIES[1].sequences, (1.0, -1.0))]])
def test_the_stored_form_of_a_query_is_what_an_index_would_hold(queries):
    found, source = captured(queries, ScoreConfig(normalisation="unit"))
    assert list(found.stored) == [module.name for module in source.modules]
    for name, block in found.stored.items():
        torch.testing.assert_close(block.dense(), found.matrices[name], rtol=1e-4, atol=1e-6)
