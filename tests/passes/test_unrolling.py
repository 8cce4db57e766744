"""Scores of an unrolled training over small models, against dense matrix exponentials of gradients from oracles."""

from dataclasses import replace
from functools import cache, partial
from itertools import accumulate, pairwise

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from indexes import EXACT, QUERIES, TRAIN, F, disk_index, fitted, memory_index, modules_of, source_of
from oracles import close, projected_gradients
from tiny_models import tiny_model

from lorif_core.capture.hooks import frozen
from lorif_core.config import ScoreConfig
from lorif_core.errors import ArtefactError, ConfigError
from lorif_core.linalg.codecs import column_codec
from lorif_core.linalg.maps import random_maps
from lorif_core.methods.make_method import make_method
from lorif_core.methods.method_settings import SourceConfig
from lorif_core.methods.protocol import Member
from lorif_core.passes.queries import capture_queries
from lorif_core.passes.scoring import iter_scores, plan_scoring, precondition_example, split_over_modules
from lorif_core.passes.unrolling import UnrolledSegment, Unrolling, check_one_space

METHODS = {rank: make_method(SourceConfig(factor_rank=99, subspace_rank=rank, f=F)) for rank in (3, 999)}
WHOLE = METHODS[999]
NUM_TARGETS = 71
TEXTS_PER_STEP = 4.0


@cache
def index_of(seed, rank=999):
    method = METHODS[rank]
    return memory_index(method, method.curvature.fitted, model=tiny_model("llama", seed=seed, dtype=torch.float32))


def few_kept(seed):
    return index_of(seed, 3)


@cache
def rows_of(seed, queries=False):
    """Per module, float64 gradients of all texts, or of the queries, in the model of a seed, (n, D)."""
    model = tiny_model("llama", seed=seed)
    maps = {one.name: random_maps(one, f=F, seed=0) for one in modules_of(model)}
    texts = [one.sequences[0] for one in QUERIES] if queries else TRAIN
    found = projected_gradients(model, maps, [(one.input_ids, one.is_target) for one in texts])
    return {name: matrices.flatten(1) for name, matrices in found.items()}


def unrolled(sizes, rates, trained_by="sgd", index_of=index_of):
    """Checkpoints 0, 1, … in segments of these sizes."""
    edges = [0, *accumulate(sizes)]
    segments = tuple(
        UnrolledSegment(tuple(index_of(seed) for seed in range(first, last)), rate)
        for (first, last), rate in zip(pairwise(edges), rates, strict=False)
    )
    return Unrolling(segments, trained_by, TEXTS_PER_STEP, NUM_TARGETS), [range(*pair) for pair in pairwise(edges)]


def plans_of(unrolling, members, asked, index_of=index_of, codec=EXACT):
    """One plan per checkpoint, that of the last one first, and the queries' gradients."""
    last = members[-1][-1]
    source = source_of(WHOLE, codec, model=tiny_model("llama", seed=last, dtype=torch.float32))
    with frozen(source.model):
        gradients = capture_queries(source, QUERIES, asked)
    every = [(seed, number) for number, seeds in enumerate(members) for seed in seeds][::-1]
    plans = []
    for seed, number in every:
        index = index_of(seed)
        member = replace(
            fitted(index, index.method.curvature.fitted), member=Member(str(seed), 1 / len(members[number]))
        )
        own = asked if not plans else replace(asked, normalisation="none")
        plans.append(plan_scoring(member, gradients, own, partial(unrolling.chain, number)))
    return plans, gradients


def scores(plans):
    return torch.cat([part for _, part in iter_scores(*plans)], 1).double()


def by_matrix_exponentials(members, durations):
    """Σ_l ⟨F_r^l F_S^(l+1) … F_S^L q, mean of g⟩, every matrix written out.

    Args:
        members: Seeds of every segment.
        durations: By (segment, module name), in units of the inverse of a sum over texts.
    """
    queries = rows_of(members[-1][-1], True)
    total = torch.zeros(len(QUERIES), len(TRAIN), dtype=torch.float64)
    for name, rows in queries.items():
        for number in range(len(members) - 1, -1, -1):
            mean = torch.stack([rows_of(seed)[name] for seed in members[number]])
            hessian = torch.einsum("cni,cnj->ij", mean, mean) / len(mean)
            tau, dim = durations[number, name], len(hessian)
            block = torch.zeros(2 * dim, 2 * dim, dtype=torch.float64)
            block[:dim, :dim], block[:dim, dim:] = -tau * hessian, tau * torch.eye(dim, dtype=torch.float64)
            whole = torch.linalg.matrix_exp(block)
            total += rows @ whole[:dim, dim:] @ mean.mean(0).T
            rows = rows @ whole[:dim, :dim]
    return total


@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(
    sizes=st.sampled_from([(1,), (2,), (1, 1), (2, 1), (1, 2), (1, 1, 1), (2, 2), (1, 2, 1)]),
    rates=st.lists(st.sampled_from([1e-4, 0.05, 1.0, 30.0]), min_size=3, max_size=3),
)
def test_scores_are_those_of_dense_matrix_exponentials(sizes, rates):
    unrolling, members = unrolled(sizes, rates)
    durations = {
        (number, module.name): rates[number] / NUM_TARGETS
        for number in range(len(sizes))
        for module in index_of(0).modules
    }
    plans, _ = plans_of(unrolling, members, ScoreConfig())
    close(scores(plans), by_matrix_exponentials(members, durations), relative=1e-3)


def test_adamw_divides_the_rates_of_each_module_by_the_root_mean_square_of_its_batches_gradients():
    sizes, rates = (1, 2), (0.02, 0.01)
    unrolling, members = unrolled(sizes, rates, "adamw")
    durations = {}
    for number, seeds in enumerate(members):
        for module in index_of(0).modules:
            squares = torch.stack([rows_of(seed)[module.name].square().sum(1).mean() for seed in seeds]).mean()
            # Of a mean over so many target tokens of so many texts, texts being drawn independently.
            per_batch = TEXTS_PER_STEP * squares / (TEXTS_PER_STEP * NUM_TARGETS / len(TRAIN)) ** 2
            root = (per_batch / (module.in_features * module.out_features)).sqrt()
            durations[number, module.name] = float(rates[number] / root / NUM_TARGETS)
    plans, _ = plans_of(unrolling, members, ScoreConfig())
    close(scores(plans), by_matrix_exponentials(members, durations), relative=1e-3)


def test_a_long_last_segment_ranks_as_the_undamped_inverse_and_short_segments_as_plain_products():
    index, queries = few_kept(0), rows_of(0, True)
    unrolling, members = unrolled((1,), (1e9,), index_of=few_kept)
    plans, _ = plans_of(unrolling, members, ScoreConfig(), few_kept)
    wanted = torch.zeros(len(QUERIES), len(TRAIN), dtype=torch.float64)
    for module in index.modules:
        subspace = index.subspace(module)
        rest = (subspace.trace - float(subspace.spectrum[:3].sum())) / (module.dim - 3)
        basis = subspace.basis.double()
        gram = basis @ torch.diag(subspace.spectrum[:3].double() - rest) @ basis.T
        gram += rest * torch.eye(module.dim, dtype=torch.float64)
        wanted += queries[module.name] @ torch.linalg.solve(gram, rows_of(0)[module.name].T)
    close(scores(plans), wanted, relative=2e-3)

    rates = (3e-7, 1e-7)
    unrolling, members = unrolled((1, 1), rates)
    plans, _ = plans_of(unrolling, members, ScoreConfig())
    ends = rows_of(1, True)
    plain = [sum(ends[name] @ rows.T for name, rows in rows_of(seed).items()) for seed in (0, 1)]
    close(scores(plans), sum(rate / NUM_TARGETS * one for rate, one in zip(rates, plain, strict=True)), relative=1e-3)


@pytest.mark.parametrize("normalisation", ["none", "relatif", "unit", "tempered"])
def test_parts_over_modules_and_the_other_side_of_the_product_add_up_to_the_score(normalisation, tmp_path):
    @cache
    def on_disk(seed):
        model = tiny_model("llama", seed=seed, dtype=torch.float32)
        return disk_index(tmp_path / str(seed), WHOLE, WHOLE.curvature.fitted, "bf16", model=model)

    unrolling, members = unrolled((1, 2), (2.0, 1.0), index_of=on_disk)
    asked = ScoreConfig(normalisation=normalisation)
    plans, gradients = plans_of(unrolling, members, asked, on_disk, column_codec("bf16"))
    wanted = scores(plans)[0]
    for position in (0, 7):
        split = [split_over_modules(plan, position, plans) for plan in plans]
        parts = [float(part[0]) for one in split for part in one.values()]
        assert sum(parts) == pytest.approx(float(wanted[position]), rel=1e-4)
        other = [
            (gradients.matrices[name][0] * matrix).sum()
            for plan in plans
            for name, matrix in precondition_example(plan, position, plans).items()
        ]
        assert float(sum(other)) == pytest.approx(float(wanted[position]), rel=1e-3)


@pytest.mark.parametrize(("normalisation", "power"), [("relatif", 0.5), ("tempered", 0.25)])
def test_normalised_scores_are_divided_by_the_self_influence_in_the_index_s_own_model(normalisation, power):
    unrolling, members = unrolled((1, 2), (2.0, 1.0))
    plain, _ = plans_of(unrolling, members, ScoreConfig())
    plans, _ = plans_of(unrolling, members, ScoreConfig(normalisation=normalisation))
    own = torch.cat([index_of(2).self_influence(shard) for shard in index_of(2).iter_shards()]).double()
    close(scores(plans), scores(plain) / own**power, relative=1e-4)


def test_a_unit_score_is_divided_by_both_norms_under_the_damped_inverse_of_the_index_s_own_model():
    unrolling, members = unrolled((1, 2), (2.0, 1.0))
    plain, _ = plans_of(unrolling, members, ScoreConfig())
    plans, _ = plans_of(unrolling, members, ScoreConfig(normalisation="unit"))
    texts, queries = rows_of(2), rows_of(2, True)
    own = {"texts": torch.zeros(len(TRAIN)).double(), "queries": torch.zeros(len(QUERIES)).double()}
    for name, rows in texts.items():
        gram = rows.T @ rows
        damped = gram + 0.5 * gram.trace() / len(gram) * torch.eye(len(gram), dtype=torch.float64)
        for side, one in (("texts", rows), ("queries", queries[name])):
            own[side] += (one * torch.linalg.solve(damped, one.T).T).sum(1)
    wanted = scores(plain) / own["queries"].sqrt()[:, None] / own["texts"].sqrt()
    close(scores(plans), wanted, relative=1e-3)


def test_a_damping_or_a_rank_is_refused_as_the_training_takes_their_place():
    for asked in (ScoreConfig(damping_ratio=0.1), ScoreConfig(subspace_rank=2), ScoreConfig(damping=1.0)):
        with pytest.raises(ConfigError, match="source has no damping: learning rates and steps"):
            WHOLE.curvature.asked(WHOLE.curvature.fitted, asked)


def test_checkpoints_with_other_maps_or_modules_are_refused():
    own = index_of(0)
    for other in (
        replace(own, manifest=replace(own.manifest, maps_digest="other")),
        replace(own, manifest=replace(own.manifest, modules=own.modules[1:])),
    ):
        with pytest.raises(ArtefactError, match="the same modules and maps, and 'early' has others than 'final'"):
            check_one_space(["final", "early"], [own, other])
    check_one_space(["final", "early"], [own, own])
