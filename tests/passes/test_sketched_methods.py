"""FactGraSS, GraSS and TRAK against their definitions without shortcuts, over random tiny models."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from indexes import EXACT, fitted, index_in_memory
from oracles import close, example_loss, example_margin
from sketched_oracle import features, inverse_products, one_minus_p
from tiny_models import example_of, random_examples, tiny_model

from lorif_core.capture.hooks import frozen
from lorif_core.config import ScoreConfig
from lorif_core.methods.make_method import make_method
from lorif_core.methods.protocol import Member
from lorif_core.methods.registry import method_settings
from lorif_core.models.modules import list_modules, tracked_shapes
from lorif_core.passes.queries import Query, capture_queries
from lorif_core.passes.scoring import iter_influences, plan_scoring, precondition_example, split_over_modules
from lorif_core.passes.shards import GradientSource
from lorif_core.passes.target_parts import split_over_query_targets, split_over_train_targets

NAMES = ("factgrass", "grass", "trak")
EVERY = pytest.mark.parametrize("name", NAMES)
TRAIN = random_examples([9, 4, 6, 3, 7], seed=1)
ASKED = random_examples([6, 5], seed=2)
QUERIES = [Query(f"q{n}", (one,), (1.0,)) for n, one in enumerate(ASKED)]


def learnt(example):
    """The same prompt with the one token behind it that a model has learnt best, so that 1 - p is far from 1."""
    model, ids = tiny_model("llama"), example.input_ids[:-1]
    with torch.no_grad():
        best = int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax())
    return example_of([*ids, best], [False] * len(ids) + [True])


TRAIN += map(learnt, random_examples([3, 5, 4], seed=3))

ROUNDING = 2e-4
"""Float32 sums, and an inverse whose condition is about a hundred."""


def source_of(method, model) -> GradientSource:
    """Gradients by the method's own maps, of the first layer."""
    projection = method.projection
    modules = projection.shapes(tracked_shapes(list_modules(model, include=("*.0.*",)), projection.f))
    maps = {one.name: projection.maps(one, None) for one in modules}
    joint = projection.joint(modules)
    return GradientSource(model, maps, modules if joint is None else [joint], method, EXACT, 1, 24)


def fresh(name, architecture="llama", seed=0, **chosen):
    """A method's gradients in float32, and the same model in float64."""
    method = make_method(method_settings(name, **{"sketch_width": 40, **chosen}))
    source = source_of(method, tiny_model(architecture, seed=seed, dtype=torch.float32))
    return source, tiny_model(architecture, seed=seed, dtype=torch.float64)


def plan_of(source, asked=ScoreConfig(), member=None, queries=QUERIES):  # noqa: B008 - frozen
    index = index_in_memory(source, source.method.curvature.fitted, TRAIN, 3)
    with frozen(source.model):
        gradients = capture_queries(source, queries, asked)
    return plan_scoring(
        replace(fitted(index, source.method.curvature.fitted), member=member or Member("model", 1.0)),
        gradients,
        asked,
    )


def scores_of(*plans):
    return torch.cat([scores for _, scores, _ in iter_influences(*plans)], 1)


def widths_of(source):
    joint = source.modules[0].d_out
    found = {one.name: one.d_out for one in source.modules}
    return {name: found.get(name, joint) for name in source.maps}


def blocks_of(name, source, exact, objective="loss"):
    """Features of the queries and of the texts by definition."""
    functions = {"loss": example_loss, "margin": example_margin}
    of_texts = functions[source.method.train_objective]
    return (
        features(name, exact, source.maps, ASKED, functions[objective], widths_of(source)),
        features(name, exact, source.maps, TRAIN, of_texts, widths_of(source)),
    )


def oracle(name, source, exact, objective, ratio):
    queries, trains = blocks_of(name, source, exact, objective)
    found = inverse_products(queries, trains, lambda gram: ratio * gram.trace() / len(gram))
    return found * one_minus_p(exact, TRAIN) if name == "trak" else found


MODELS = st.fixed_dictionaries(
    {
        "architecture": st.sampled_from(["llama", "gpt2_untied", "gpt_neox"]),
        "seed": st.integers(0, 5),
        "sketch_width": st.sampled_from([1, 3, 8, 9, 50]),  # as many texts as numbers, more and fewer
        "damping_ratio": st.sampled_from([0.1, 0.5, 10.0]),
    }
)


@EVERY
@settings(max_examples=8)
@given(drawn=MODELS, third=st.integers(1, 3), objective=st.sampled_from(["loss", "margin"]))
def test_scores_are_those_of_explicit_gradients_masks_hashes_and_inverses(name, drawn, third, objective):
    own = {"f": third} if name == "trak" else {"mask_factor": third}
    source, exact = fresh(name, **drawn, **own)
    found = scores_of(plan_of(source, ScoreConfig(objective=objective)))
    close(found, oracle(name, source, exact, objective, drawn["damping_ratio"]), relative=ROUNDING)


@EVERY
def test_under_a_huge_damping_a_score_is_the_plain_product_of_what_is_stored(name):
    """λ · score → ⟨z_q, z_n⟩; of TRAK times 1 - p, which is the loss's gradient, so it ranks as GradDot."""
    source, exact = fresh(name, damping_rule="absolute", damping=1e9)
    found = 1e9 * scores_of(plan_of(source, ScoreConfig(objective="margin" if name == "trak" else "loss")))
    queries, _ = blocks_of(name, source, exact, "margin" if name == "trak" else "loss")
    of_losses = features(name, exact, source.maps, TRAIN, example_loss, widths_of(source))
    wanted = sum(asked @ stored.T for asked, stored in zip(queries, of_losses, strict=True))
    close(found, wanted, relative=ROUNDING)
    losses = features(name, exact, source.maps, ASKED, example_loss, widths_of(source))
    graddot = sum(asked @ stored.T for asked, stored in zip(losses, of_losses, strict=True))
    assert torch.equal(found.argsort(1), graddot.argsort(1))


def test_trak_is_the_mean_of_the_members_products_times_the_mean_of_their_1_minus_p():
    pairs = [fresh("trak", seed=seed) for seed in (0, 4, 9)]
    asked = ScoreConfig(objective="margin")
    plans = [plan_of(source, asked, Member(str(place), 1 / 3)) for place, (source, _) in enumerate(pairs)]
    products, weights = 0, 0
    for source, exact in pairs:
        blocks = blocks_of("trak", source, exact, "margin")
        products = products + inverse_products(*blocks, lambda gram: 0.5 * gram.trace() / len(gram)) / 3
        weights = weights + one_minus_p(exact, TRAIN) / 3
    close(scores_of(*plans), products * weights, relative=ROUNDING)
    for position in (0, 6):  # of a module and member, and of the other side
        parts = sum(split_over_modules(plan, position, plans)["all modules"] for plan in plans)
        close(parts, (products * weights)[:, position], relative=ROUNDING)


def test_texts_keep_one_minus_p_where_the_method_wants_it_and_nothing_else_does():
    source, exact = fresh("trak")
    index = index_in_memory(source, source.method.curvature.fitted, TRAIN, 3)
    found = torch.cat([shard.weights() for shard in index.iter_shards()])
    close(found, one_minus_p(exact, TRAIN), relative=1e-5)
    assert float(found.min()) < 0.95
    other, _ = fresh("grass")
    index = index_in_memory(other, other.method.curvature.fitted, TRAIN, 3)
    assert all(shard.weights() is None and "weights" not in shard.file.tensors for shard in index.iter_shards())


@EVERY
@pytest.mark.parametrize("normalisation", ["none", "relatif", "unit"])
def test_parts_over_tokens_on_both_sides_add_up_to_the_score(name, normalisation):
    source, _ = fresh(name)
    asked = ScoreConfig(objective="margin", normalisation=normalisation)
    plan = plan_of(source, asked, queries=QUERIES[:1])
    (scores,) = scores_of(plan)
    with frozen(source.model):
        for position in (1, 6):
            matrices = precondition_example(plan, position)
            of_query = split_over_query_targets(source, QUERIES[0], "margin", matrices)
            close(sum(part.sum() for part in of_query), scores[position], relative=1e-3)
        query = {key: matrix[0] for key, matrix in plan.matrices.items()}
        per_product = scores / torch.cat([one for _, _, one in iter_influences(plan)], 1)[0]
        weights = torch.cat([shard.weights() for shard in plan.reader.iter_shards()]) if name == "trak" else 1.0
        splits = split_over_train_targets(source, TRAIN, query)
        found = torch.stack([sum(part.sum() for part in parts) for parts in splits])
        close(found * per_product * weights, scores, relative=1e-3)


@EVERY
def test_scores_do_not_depend_on_batches(name):
    source, _ = fresh(name)
    close(scores_of(plan_of(replace(source, tokens_per_batch=9))), scores_of(plan_of(source)), relative=1e-4)


def test_a_text_of_several_sequences_has_the_weighted_sum_of_their_margins():
    source, exact = fresh("trak")
    chosen, rejected = (TRAIN[3]._replace(weight=1.0), TRAIN[6]._replace(weight=-1.0))
    index = index_in_memory(source, source.method.curvature.fitted, [(chosen, rejected), *TRAIN[:3]], 2)
    (shard, _) = index.iter_shards()
    (block,) = features("trak", exact, source.maps, [chosen, rejected], example_margin, widths_of(source))
    close(shard.block(source.modules[0]).dense()[0, 0], block[0] - block[1], relative=1e-4)
    odds = [one / (1 - one) for one in 1 - one_minus_p(exact, [chosen, rejected])]
    close(shard.weights()[0], 1 / (1 + odds[0] / odds[1]), relative=1e-4)
