import gc
from functools import cache

import pytest
import torch
from indexes import FULL, LOGRA, QUERIES, TRAIN, memory_index, oracle_model, scores_of, source_of
from oracles import close, leading_right_projector, project, weight_gradients
from tiny_models import tiny_model

from lorif_core.capture.hooks import capture_gradients, frozen
from lorif_core.capture.objectives import summed_cross_entropy
from lorif_core.config import CurvatureConfig, ScoreConfig
from lorif_core.data.batches import pad_batch
from lorif_core.linalg.preconditioner import precondition
from lorif_core.methods.lorif import Lorif
from lorif_core.methods.method_settings import LorifConfig
from lorif_core.passes import target_parts
from lorif_core.passes.queries import Query, capture_queries
from lorif_core.passes.target_parts import split_over_query_targets, split_over_train_targets

ABSOLUTE = CurvatureConfig(subspace_rank=999, damping_rule="absolute", damping=2.0)
METHODS = {
    "logra": LOGRA,
    "full": FULL,
    "rank 1": Lorif(LorifConfig(factor_rank=1, subspace_rank=999)),
    "rank 2": Lorif(LorifConfig(factor_rank=2, subspace_rank=999)),
}


@cache
def index_of(name):
    return memory_index(METHODS[name], ABSOLUTE)


@cache
def preconditioned_query(name, position=0):
    """Per module (d_in, d_out)."""
    index, source = index_of(name), source_of(LOGRA)
    with frozen(source.model):
        gradients = capture_queries(source, [QUERIES[position]], ScoreConfig())
    return {
        module.name: precondition(index.subspace(module), 2.0)
        .apply(gradients.matrices[module.name].flatten(1))
        .view(module.d_in, module.d_out)
        for module in index.modules
    }


def train_parts(name, examples=TRAIN):
    source = source_of(METHODS[name])
    with frozen(source.model):
        return [part for (part,) in split_over_train_targets(source, examples, preconditioned_query(name))]


@pytest.mark.parametrize("name", METHODS)
def test_train_tokens_add_up_to_the_score(name):
    scores = scores_of(index_of(name), ABSOLUTE, queries=QUERIES[:1])[0]
    parts = train_parts(name)
    assert [len(part) for part in parts] == [len(one.input_ids) for one in TRAIN]
    close(torch.stack([part.sum() for part in parts]), scores, relative=2e-4)


@pytest.mark.parametrize("name", METHODS)
def test_a_train_token_has_the_part_of_its_own_loss(name):
    index, maps, matrices = index_of(name), source_of(METHODS[name]).maps, preconditioned_query(name)
    parts = train_parts(name)[:3]
    assert len(parts) == 3
    for row, (example, part) in enumerate(zip(TRAIN[:3], parts, strict=True)):
        wanted = torch.zeros(len(example.input_ids), dtype=torch.float64)
        for place in (place for place, is_target in enumerate(example.is_target) if is_target):
            alone = [one == place for one in range(len(example.input_ids))]
            by_module = weight_gradients(oracle_model(), maps, example.input_ids, alone)
            for module in index.modules:
                sides = maps[module.name]
                projected = project(by_module[module.name], sides.input_map, sides.output_map)
                if name != "logra":  # what is stored keeps only some directions of the outputs
                    stored = index.shards[0].block(module)
                    projected = projected @ leading_right_projector(stored.dense()[row], stored.left.shape[1])
                wanted[place] += (projected * matrices[module.name].double()).sum()
        close(part, wanted, relative=1e-3)


@pytest.mark.parametrize("name", METHODS)
def test_parts_do_not_depend_on_the_other_examples(name):
    parts = train_parts(name)[:3]
    assert len(parts) == 3
    for alone, together in zip(TRAIN[:3], parts, strict=True):
        close(train_parts(name, [alone])[0], together, relative=2e-4)


def preconditioned_train(name, position):
    """Per module (d_in, d_out), for a train example as stored."""
    index = index_of(name)
    shard = next(one for one in index.shards if one.start <= position < one.start + one.num_examples)
    return {
        module.name: precondition(index.subspace(module), 2.0)
        .apply(shard.block(module).dense().flatten(1))[position - shard.start]
        .view(module.d_in, module.d_out)
        for module in index.modules
    }


def query_parts(name, query, objective, position):
    source = source_of(METHODS[name])
    with frozen(source.model):
        return split_over_query_targets(source, query, objective, preconditioned_train(name, position))


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("objective", ["loss", "margin"])
@pytest.mark.parametrize("position", [0, 5])
def test_query_tokens_add_up_to_the_score(name, objective, position):
    scores = scores_of(index_of(name), ABSOLUTE, ScoreConfig(objective=objective))
    assert scores.shape == (3, 10)
    for row, query in enumerate(QUERIES):
        (part,) = query_parts(name, query, objective, position)
        assert len(part) == len(query.sequences[0].input_ids)
        close(part.sum(), scores[row, position], relative=2e-3)


@pytest.mark.parametrize("name", METHODS)
def test_tokens_of_both_completions_of_a_contrast_add_up_to_the_score(name):
    query = Query("c", (QUERIES[0].sequences[0], QUERIES[1].sequences[0]), (1.0, -1.0))
    score = scores_of(index_of(name), ABSOLUTE, ScoreConfig(objective="contrast"), [query])[0, 5]
    parts = query_parts(name, query, "contrast", 5)
    assert [len(part) for part in parts] == [len(one.input_ids) for one in query.sequences]
    close(parts[0].sum() + parts[1].sum(), score, relative=2e-3)


def test_completion_b_enters_a_contrast_with_the_opposite_sign():
    a, b = QUERIES[0].sequences[0], QUERIES[1].sequences[0]
    contrast = query_parts("full", Query("c", (a, b), (1.0, -1.0)), "contrast", 5)
    (alone,) = query_parts("full", Query("b", (b,), (1.0,)), "loss", 5)
    close(-contrast[1], alone, relative=2e-4)


def test_only_tokens_that_are_predicted_have_parts():
    parts = train_parts("full")
    assert len(parts) == len(TRAIN)
    for part, example in zip(parts, TRAIN, strict=True):
        assert [bool(one) for one in part] == example.is_target


@pytest.mark.parametrize("architecture", ["gpt2", "llama_lora", "qwen3_moe"])
def test_the_parts_are_the_same_where_nothing_can_be_differentiated_twice(architecture, monkeypatch):
    model = tiny_model(architecture, dtype=torch.float32)
    source = source_of(LOGRA, model=model)
    generator = torch.Generator().manual_seed(1)
    matrices = {one.name: torch.randn(one.d_in, one.d_out, generator=generator) for one in source.modules}
    with frozen(model):
        parts = [part for (part,) in split_over_train_targets(source, TRAIN[:3], matrices)]

        def cannot(*_):
            raise RuntimeError("derivative for aten::fused is not implemented")

        monkeypatch.setattr(target_parts, "_differentiated_twice", cannot)
        slow = [part for (part,) in split_over_train_targets(source, TRAIN[:3], matrices)]
    assert len(parts) == 3
    for part, wanted in zip(parts, slow, strict=True):
        close(part, wanted, relative=2e-4)


def test_a_module_called_twice_has_both_calls_in_the_part_of_a_token():
    model = tiny_model("llama", dtype=torch.float32)
    model.model.layers[1] = model.model.layers[0]
    source = source_of(LOGRA, model=model)
    generator = torch.Generator().manual_seed(1)
    matrices = {one.name: torch.randn(one.d_in, one.d_out, generator=generator) for one in source.modules}
    totals = torch.zeros(3)

    def take(name, gradient):
        totals.add_((gradient.dense() * matrices[name]).sum((1, 2)))

    with frozen(model):
        parts = [part for (part,) in split_over_train_targets(source, TRAIN[:3], matrices)]
        capture_gradients(model, source.maps, pad_batch(TRAIN[:3], 1), summed_cross_entropy, take)
    close(torch.stack([part.sum() for part in parts]), totals, relative=2e-4)


def test_a_module_that_one_text_never_reached_counts_for_the_texts_beside_it():
    source = source_of(LOGRA)  # as an expert does that no token of the first text was routed to
    generator = torch.Generator().manual_seed(1)
    matrices = {one.name: torch.randn(one.d_in, one.d_out, generator=generator) for one in source.modules}
    missing = source.modules[0].name
    without = {name: matrix for name, matrix in matrices.items() if name != missing}
    with frozen(source.model):
        (first, second), _ = target_parts.parts_along(source, TRAIN[:2], [without, matrices])
        (first_alone,), _ = target_parts.parts_along(source, TRAIN[:1], [without])
        (second_alone,), _ = target_parts.parts_along(source, TRAIN[1:2], [matrices])
        (second_less,), _ = target_parts.parts_along(source, TRAIN[1:2], [without])
    close(first, first_alone, relative=2e-4)
    close(second, second_alone, relative=2e-4)
    assert float((second_alone - second_less).abs().max()) > 1e-2 * float(second_alone.abs().max())


def test_no_output_of_the_model_stays_in_memory_after_the_parts_are_known(seen_outputs):
    train_parts("rank 1")
    gc.collect()
    assert seen_outputs
    assert [one for one in seen_outputs if one() is not None] == []
