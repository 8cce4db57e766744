from dataclasses import replace

import pytest
import torch
from indexes import (
    EXACT,
    FULL,
    LOGRA,
    QUERIES,
    TRAIN,
    disk_index,
    fitted,
    memory_index,
    oracle_rows,
    scores_of,
    source_of,
    stored_rows,
)
from oracles import best_rank, close, example_margin, gram_eigenvalues, influence_scores
from safetensors.torch import load_file, save
from tiny_models import random_examples, tiny_model

from lorif_core.capture.hooks import frozen
from lorif_core.config import CurvatureConfig, ScoreConfig
from lorif_core.errors import ConfigError, NumericalError
from lorif_core.files import checksum_of_file
from lorif_core.linalg.codecs import column_codec
from lorif_core.methods.graddot import Graddot
from lorif_core.methods.logra import Logra
from lorif_core.methods.lorif import Lorif
from lorif_core.methods.make_method import make_method
from lorif_core.methods.method_settings import GraddotConfig, LograConfig, LorifConfig
from lorif_core.methods.protocol import Member
from lorif_core.passes.queries import Query, capture_queries
from lorif_core.passes.scoring import iter_scores, plan_scoring, precondition_example, split_over_modules
from lorif_core.store.blocks import CodedFactors

TRACE = CurvatureConfig(subspace_rank=999, damping_rule="trace", damping_ratio=0.5)
ABSOLUTE = CurvatureConfig(subspace_rank=999, damping_rule="absolute", damping=2.0)
QUERY_SEQUENCES = [query.sequences[0] for query in QUERIES]

# Gradients in float32 against float64, norms inside the model in float32 on both sides; the inverse
# multiplies errors by up to σ²/λ, which is below 50 here.
TOLERANCE = 5e-4


def trace_dampings(rows, ratio=0.5):
    return [ratio * gram_eigenvalues(one).mean().item() for one in rows]


@pytest.fixture(scope="module")
def trained():
    return oracle_rows(TRAIN)


@pytest.fixture(scope="module")
def asked():
    return oracle_rows(QUERY_SEQUENCES)


@pytest.mark.parametrize("method", [FULL, LOGRA], ids=["lorif", "logra"])
def test_full_ranks_equal_the_dense_inverse_of_all_gradients(method, trained, asked):
    found = scores_of(memory_index(method, TRACE), TRACE)
    close(found, influence_scores(asked, trained, trace_dampings(trained)), relative=TOLERANCE)


def test_full_rank_lorif_equals_logra():
    lorif, logra = (scores_of(memory_index(method, ABSOLUTE), ABSOLUTE) for method in (FULL, LOGRA))
    close(lorif, logra, relative=1e-4)


@pytest.mark.parametrize("method", [FULL, LOGRA], ids=["lorif", "logra"])
@pytest.mark.parametrize("codec", ["bf16", "int8", "int4", "sign"])
def test_an_index_on_disk_scores_what_it_stores(method, codec, asked, tmp_path):
    index = disk_index(tmp_path, method, TRACE, codec)
    rows = stored_rows(index)
    close(scores_of(index, TRACE), influence_scores(asked, rows, trace_dampings(rows)), relative=TOLERANCE)


@pytest.mark.parametrize("rank", [1, 2])
def test_factors_of_low_rank_score_the_closest_matrices_of_that_rank(rank, trained, asked):
    method = Lorif(LorifConfig(factor_rank=rank, subspace_rank=999))
    index = memory_index(method, ABSOLUTE)
    stored = stored_rows(index)
    assert len(stored) == len(index.modules) == 7
    for module, whole, kept in zip(index.modules, trained, stored, strict=True):
        for row in range(len(TRAIN)):
            matrix = whole[row].view(module.d_in, module.d_out)
            best = best_rank(matrix, rank).flatten()
            assert (kept[row] - whole[row]).norm() <= (best - whole[row]).norm() + 0.05 * whole[row].norm()
    close(scores_of(index, ABSOLUTE), influence_scores(asked, stored, [2.0] * len(stored)), relative=TOLERANCE)


def test_rank_zero_is_an_inner_product_over_the_damping(trained, asked):
    graddot = CurvatureConfig(subspace_rank=0, damping_rule="absolute", damping=2.0)
    found = scores_of(memory_index(Lorif(LorifConfig(factor_rank=99, subspace_rank=0)), graddot), graddot)
    wanted = sum(q @ n.T for q, n in zip(asked, trained, strict=True)) / 2.0
    close(found, wanted, relative=TOLERANCE)


def test_codes_of_more_bits_score_closer_to_the_exact_gradients():
    curvature = ABSOLUTE
    wanted = scores_of(memory_index(FULL, curvature), curvature)
    errors = {
        name: float((scores_of(memory_index(FULL, curvature, codec=column_codec(name)), curvature) - wanted).norm())
        / float(wanted.norm())
        for name in ("bf16", "int8", "int4", "sign")
    }
    assert errors["bf16"] < errors["int8"] * 1.5 < errors["int4"] < errors["sign"]
    assert errors["bf16"] < 0.02
    assert errors["int4"] < 0.5


@pytest.mark.parametrize("tokens_per_batch", [1, 20, 1000])
@pytest.mark.parametrize("shard_examples", [1, 3, 10])
def test_neither_batches_nor_shards_change_a_score(tokens_per_batch, shard_examples):
    wanted = scores_of(memory_index(FULL, TRACE), TRACE)
    index = memory_index(FULL, TRACE, tokens_per_batch=tokens_per_batch, shard_examples=shard_examples)
    close(scores_of(index, TRACE), wanted, relative=TOLERANCE)


@pytest.mark.parametrize(
    "asked",
    [
        ScoreConfig(),
        ScoreConfig(query_rank=1),
        ScoreConfig(normalisation="unit"),
        ScoreConfig(normalisation="relatif"),
        ScoreConfig(normalisation="tempered", damping=7.0),
    ],
    ids=repr,
)
@pytest.mark.parametrize("queries", [QUERIES, QUERIES[:1]], ids=["three", "one"])
@pytest.mark.parametrize(
    "method", [Lorif(LorifConfig(factor_rank=2, subspace_rank=4)), LOGRA], ids=["lorif", "logra"]
)
@pytest.mark.parametrize("codec", ["bf16", "sign"])
def test_threads_do_not_change_a_score(method, codec, queries, asked, tmp_path, three_threads):
    index = disk_index(tmp_path, method, ABSOLUTE, codec)
    together = scores_of(index, ABSOLUTE, asked, queries)
    torch.set_num_threads(1)
    close(together, scores_of(index, ABSOLUTE, asked, queries), relative=1e-5)


def test_a_score_that_is_not_finite_is_placed_by_its_shard(tmp_path, three_threads):
    index = disk_index(tmp_path, FULL, ABSOLUTE, "bf16")
    path = tmp_path / index.manifest.shards[1].file
    tensors = load_file(path)
    tensors[f"left/{index.modules[0].name}"][3] = torch.inf
    content = save(tensors)
    path.unlink()  # it is mapped
    path.write_bytes(content)
    checksum = checksum_of_file(path)
    index.manifest.shards[1] = replace(index.manifest.shards[1], checksum=checksum)
    with pytest.raises(NumericalError, match="not finite, first in shard 1"):
        scores_of(index, ABSOLUTE)


def test_the_order_of_train_examples_only_reorders_scores():
    wanted = scores_of(memory_index(FULL, TRACE), TRACE)
    close(scores_of(memory_index(FULL, TRACE, train=TRAIN[::-1]), TRACE).flip(1), wanted, relative=TOLERANCE)


def test_an_example_without_targets_scores_zero_and_changes_no_other(trained, asked):
    silent = TRAIN[0]._replace(is_target=[False] * len(TRAIN[0].input_ids))
    for normalisation in ("none", "unit", "relatif"):
        settings = ScoreConfig(normalisation=normalisation)
        found = scores_of(memory_index(FULL, ABSOLUTE, train=[silent, *TRAIN]), ABSOLUTE, settings)
        wanted = scores_of(memory_index(FULL, ABSOLUTE), ABSOLUTE, settings)
        assert not found[:, 0].any()
        close(found[:, 1:], wanted, relative=TOLERANCE)


def test_margin_queries_equal_the_oracle(trained):
    rows = oracle_rows(QUERY_SEQUENCES, example_margin)
    found = scores_of(memory_index(FULL, ABSOLUTE), ABSOLUTE, ScoreConfig(objective="margin"))
    close(found, influence_scores(rows, trained, [2.0] * len(rows)), relative=TOLERANCE)


def test_a_contrast_scores_the_difference_of_two_losses(trained, asked):
    first, second = QUERY_SEQUENCES[:2]
    contrast = Query("c", (first, second), (1.0, -1.0))
    rows = [(one[0] - one[1]).unsqueeze(0) for one in asked]
    found = scores_of(memory_index(FULL, ABSOLUTE), ABSOLUTE, ScoreConfig(objective="contrast"), [contrast])
    close(found, influence_scores(rows, trained, [2.0] * len(rows)), relative=TOLERANCE)


def test_queries_do_not_influence_each_other():
    index = memory_index(FULL, ABSOLUTE)
    together = scores_of(index, ABSOLUTE)
    assert together.shape == (3, 10)
    for row, query in enumerate(QUERIES):
        close(scores_of(index, ABSOLUTE, queries=[query])[0], together[row], relative=1e-4)


@pytest.mark.parametrize("method", [FULL, LOGRA], ids=["lorif", "logra"])
def test_unit_is_the_cosine_in_the_metric_of_influence(method, trained, asked):
    found = scores_of(memory_index(method, ABSOLUTE), ABSOLUTE, ScoreConfig(normalisation="unit"))
    rows = [torch.cat(both) for both in zip(asked, trained, strict=True)]
    inverses = [torch.linalg.inv(one.T @ one + 2.0 * torch.eye(one.shape[1], dtype=one.dtype)) for one in trained]
    products = sum(row @ inverse @ row.T for row, inverse in zip(rows, inverses, strict=True))
    norms = products.diagonal().sqrt()
    close(found, (products / norms[:, None] / norms)[: len(QUERIES), len(QUERIES) :], relative=TOLERANCE)


@pytest.mark.parametrize("method", [FULL, LOGRA], ids=["lorif", "logra"])
def test_relatif_divides_by_the_root_of_the_self_influence(method, trained, asked):
    found = scores_of(memory_index(method, ABSOLUTE), ABSOLUTE, ScoreConfig(normalisation="relatif"))
    dampings = [2.0] * len(trained)
    wanted = influence_scores(asked, trained, dampings)
    close(found, wanted / influence_scores(trained, trained, dampings).diagonal().sqrt(), relative=TOLERANCE)


@pytest.mark.parametrize("method", [FULL, LOGRA], ids=["lorif", "logra"])
def test_self_influence_is_the_score_of_an_example_on_itself(method, trained):
    index = memory_index(method, TRACE)
    found = torch.cat(index.self_influences)
    close(found, influence_scores(trained, trained, trace_dampings(trained)).diagonal(), relative=TOLERANCE)


def test_the_self_influence_on_disk_is_that_of_what_is_stored(tmp_path):
    index = disk_index(tmp_path, FULL, TRACE, "int4")
    rows = stored_rows(index)
    found = torch.cat([index.self_influence(shard) for shard in index.iter_shards()])
    close(found, influence_scores(rows, rows, trace_dampings(rows)).diagonal(), relative=TOLERANCE)


@pytest.mark.parametrize("normalisation", ["none", "unit", "relatif"])
@pytest.mark.parametrize(
    ("asked_for", "rebuilt"),
    [
        (
            {"damping_rule": "absolute", "damping": 0.3},
            CurvatureConfig(subspace_rank=6, damping_rule="absolute", damping=0.3),
        ),
        ({"damping_ratio": 0.05}, CurvatureConfig(subspace_rank=6, damping_ratio=0.05)),
        (
            {"damping_rule": "spectrum", "damping_ratio": 0.2},
            CurvatureConfig(subspace_rank=6, damping_rule="spectrum", damping_ratio=0.2),
        ),
        ({"damping_rule": "spectrum"}, CurvatureConfig(subspace_rank=6, damping_rule="spectrum")),
        ({"subspace_rank": 2}, CurvatureConfig(subspace_rank=2, damping_ratio=0.4)),
        ({"subspace_rank": 0}, CurvatureConfig(subspace_rank=0, damping_ratio=0.4)),
        ({"damping": 0.3}, CurvatureConfig(subspace_rank=6, damping_rule="absolute", damping=0.3)),
    ],
    ids=["absolute", "ratio", "spectrum", "default", "rank", "graddot", "damping"],
)
def test_settings_changed_while_asking_equal_an_index_built_with_them(asked_for, rebuilt, normalisation):
    built = CurvatureConfig(subspace_rank=6, damping_ratio=0.4)
    index = memory_index(Lorif(LorifConfig(factor_rank=99, subspace_rank=6)), built)
    found = scores_of(index, built, ScoreConfig(**asked_for, normalisation=normalisation))
    other = memory_index(Lorif(LorifConfig(factor_rank=99, subspace_rank=rebuilt.subspace_rank)), rebuilt)
    wanted = scores_of(other, rebuilt, ScoreConfig(normalisation=normalisation))
    close(found, wanted, relative=1e-4)


def test_naming_the_rule_that_an_index_has_keeps_its_ratio():
    built = CurvatureConfig(subspace_rank=6, damping_rule="trace", damping_ratio=0.05)
    index = memory_index(Lorif(LorifConfig(factor_rank=99, subspace_rank=6)), built)
    found = scores_of(index, built, ScoreConfig(damping_rule="trace"))
    close(found, scores_of(index, built), relative=1e-6)


def test_a_damping_ratio_for_an_index_of_absolute_damping_is_not_ignored():
    index = memory_index(FULL, ABSOLUTE)
    try:
        found = scores_of(index, ABSOLUTE, ScoreConfig(damping_ratio=0.001))
    except ConfigError:
        return  # refusing it is fine too
    assert not torch.allclose(found, scores_of(index, ABSOLUTE))


def test_more_directions_than_an_index_keeps_are_refused():
    built = CurvatureConfig(subspace_rank=2)
    index = memory_index(Lorif(LorifConfig(factor_rank=99, subspace_rank=2)), built)
    with pytest.raises(ConfigError, match=r"at most the 2 directions that this index keeps, got 3"):
        scores_of(index, built, ScoreConfig(subspace_rank=3))


@pytest.mark.parametrize("query_rank", [1, 2])
def test_a_query_rank_scores_the_leading_directions_of_each_preconditioned_query(query_rank, trained, asked):
    index = memory_index(FULL, ABSOLUTE)
    found = scores_of(index, ABSOLUTE, ScoreConfig(query_rank=query_rank))
    wanted = torch.zeros(len(QUERIES), len(TRAIN), dtype=torch.float64)
    for module, q_rows, n_rows in zip(index.modules, asked, trained, strict=True):
        inverse = torch.linalg.inv(n_rows.T @ n_rows + 2.0 * torch.eye(module.dim, dtype=torch.float64))
        for q in range(len(QUERIES)):
            matrix = (q_rows[q] @ inverse).view(module.d_in, module.d_out)
            wanted[q] += n_rows @ best_rank(matrix, query_rank).flatten()
    close(found, wanted, relative=TOLERANCE)


def test_scores_are_positive_for_a_query_that_is_a_train_example():
    index = memory_index(FULL, TRACE)
    own = [Query(str(n), (one,), (1.0,)) for n, one in enumerate(TRAIN)]
    assert (scores_of(index, TRACE, queries=own).diagonal() > 0).all()


def test_a_module_without_any_gradient_is_refused_by_a_damping_rule():
    silent = [one._replace(is_target=[False] * len(one.input_ids)) for one in TRAIN]
    with pytest.raises(NumericalError, match="needs a mean eigenvalue above 0"):
        memory_index(FULL, TRACE, train=silent)


@pytest.mark.parametrize("codec", ["bf16", "int4", "sign"])
@pytest.mark.parametrize(
    "method", [Lorif(LorifConfig(factor_rank=2, subspace_rank=4)), LOGRA], ids=["rank 2", "whole"]
)
def test_recorded_energies_are_what_the_stored_gradients_leave_of_the_whole_ones(method, codec, trained, tmp_path):
    index = disk_index(tmp_path, method, TRACE, codec)
    stored, shares = stored_rows(index), index.manifest.explained_energy()
    assert len(stored) == len(index.modules) == 7
    for module, whole, found in zip(index.modules, trained, stored, strict=True):
        left = 1 - (whole - found).square().sum() / whole.square().sum()
        assert shares[module.name] == pytest.approx(left.item(), abs=1e-4)  # float32 gradients
    every = [torch.cat(rows, 1) for rows in (trained, stored)]
    left = 1 - (every[0] - every[1]).square().sum() / every[0].square().sum()
    assert index.manifest.kept_energy().as_stored == pytest.approx(left.item(), abs=1e-4)


def test_before_rounding_the_energy_is_that_of_the_best_rank(trained, tmp_path):
    index = disk_index(tmp_path, Lorif(LorifConfig(factor_rank=1, subspace_rank=4)), TRACE, "sign")
    matrices = [rows.view(len(rows), m.d_in, m.d_out) for rows, m in zip(trained, index.modules, strict=True)]
    kept = sum((best_rank(one, 1).square().sum() for rows in matrices for one in rows), torch.zeros(()))
    share = kept / sum(rows.square().sum() for rows in trained)
    assert index.manifest.kept_energy().before_rounding == pytest.approx(share.item(), rel=1e-3)


def test_stored_norms_are_those_of_the_stored_gradients(tmp_path):
    index = disk_index(tmp_path, Lorif(LorifConfig(factor_rank=2, subspace_rank=4)), TRACE, "int4")
    found = torch.cat([shard.norms() for shard in index.iter_shards()])
    close(found, torch.cat(stored_rows(index), 1).norm(dim=1), relative=1e-5)


def test_a_longer_batch_does_not_change_stored_bytes_beyond_rounding():
    few, many = (memory_index(FULL, TRACE, codec=EXACT, tokens_per_batch=size) for size in (16, 500))
    assert len(few.modules) == 7
    for a, b in zip(stored_rows(few), stored_rows(many), strict=True):
        close(a, b, relative=1e-4)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (LorifConfig(factor_rank=3, seed=5), Lorif(LorifConfig(factor_rank=3, subspace_rank=256, seed=5))),
        (GraddotConfig(), Graddot(GraddotConfig(factor_rank=1))),
        (LograConfig(), Logra(LograConfig())),
    ],
)
def test_settings_name_their_method(settings, expected):
    assert make_method(settings) == expected


def test_random_queries_of_another_length_are_scored_alike():
    index = memory_index(FULL, ABSOLUTE)
    sequences = random_examples([2, 30], seed=5)
    queries = [Query(str(n), (one,), (1.0,)) for n, one in enumerate(sequences)]
    wanted = influence_scores(oracle_rows(sequences), oracle_rows(TRAIN), [2.0] * len(index.modules))
    close(scores_of(index, ABSOLUTE, queries=queries), wanted, relative=TOLERANCE)


def test_members_are_added_up_by_their_weights_and_normalised_by_the_first(trained, asked):
    members = {"first": (tiny_model("llama", dtype=torch.float32), 2.0), "last": (other_model(), -0.5)}
    plans, products = {}, {}
    for normalisation in ("none", "relatif"):
        settings, plans[normalisation] = ScoreConfig(normalisation=normalisation), []
        for name, (model, weight) in members.items():
            index = memory_index(FULL, ABSOLUTE, model=model)
            source = source_of(FULL, model=model)
            with frozen(source.model):
                gradients = capture_queries(source, QUERIES, settings)
            one = replace(fitted(index, ABSOLUTE), member=Member(name, weight))
            plans[normalisation].append(plan_scoring(one, gradients, settings))
            products[name] = weight * scores_of(index, ABSOLUTE, model=model)
    assert not torch.allclose(products["first"], products["last"], rtol=0.5)
    close(torch.cat([part for _, part in iter_scores(*plans["none"])], 1), sum(products.values()), relative=1e-4)
    own = influence_scores(trained, trained, [2.0] * len(trained)).diagonal()
    wanted = sum(products.values()) / own.sqrt()
    close(torch.cat([part for _, part in iter_scores(*plans["relatif"])], 1), wanted, relative=TOLERANCE)


@pytest.mark.parametrize("weight", [0.25, -1.0])
def test_the_norm_of_a_query_is_free_of_the_weight_of_its_member(weight):
    index, unit = memory_index(FULL, ABSOLUTE), ScoreConfig(normalisation="unit")
    source = source_of(FULL)
    with frozen(source.model):
        gradients = capture_queries(source, QUERIES, unit)
    member = replace(fitted(index, ABSOLUTE), member=Member("first", weight))
    found = torch.cat([part for _, part in iter_scores(plan_scoring(member, gradients, unit))], 1)
    close(found, weight * scores_of(index, ABSOLUTE, unit), relative=1e-4)


@pytest.mark.parametrize("normalisation", ["none", "relatif", "unit"])
def test_parts_of_all_members_over_modules_add_up_to_the_score(normalisation, tmp_path):
    settings, plans, captured = ScoreConfig(normalisation=normalisation), [], []
    for model, weight in ((tiny_model("llama", dtype=torch.float32), 2.0), (other_model(), -0.5)):
        index = disk_index(tmp_path / str(weight), FULL, ABSOLUTE, "bf16", model=model)
        source = source_of(FULL, column_codec("bf16"), model=model)
        with frozen(source.model):
            captured.append(capture_queries(source, QUERIES[:1], settings if not plans else ScoreConfig()))
        one = replace(fitted(index, ABSOLUTE), member=Member("one", weight))
        plans.append(plan_scoring(one, captured[-1], settings if not plans else ScoreConfig()))
    (wanted,) = torch.cat([part for _, part in iter_scores(*plans)], 1)
    for position in (0, 7):
        split = [split_over_modules(plan, position, plans) for plan in plans]
        close(sum(part for parts in split for part in parts.values()), wanted[position : position + 1], relative=1e-4)
        other = [
            (gradients.matrices[name][0] * matrix).sum()
            for gradients, plan in zip(captured, plans, strict=True)
            for name, matrix in precondition_example(plan, position, plans).items()
        ]
        close(sum(other), wanted[position], relative=1e-3)


def other_model():
    return tiny_model("llama", seed=7, dtype=torch.float32)


def test_packed_signs_are_scored_as_what_they_stand_for_and_without_being_unpacked(tmp_path, asked, monkeypatch):
    plain = CurvatureConfig(subspace_rank=0, damping_rule="absolute", damping=1.0)
    index = disk_index(tmp_path, Lorif(LorifConfig(factor_rank=2, subspace_rank=0)), plain, "sign", shard_examples=3)
    wanted = torch.zeros(len(QUERIES), len(TRAIN), dtype=torch.float64)
    for module, q_rows, stored in zip(index.modules, asked, stored_rows(index), strict=True):
        for q in range(len(QUERIES)):
            matrix = q_rows[q].view(module.d_in, module.d_out)
            wanted[q] += stored @ best_rank(matrix, 1).flatten()
    monkeypatch.setattr(CodedFactors, "left", property(lambda factors: pytest.fail("signs were unpacked")))
    close(scores_of(index, plain, ScoreConfig(query_rank=1)), wanted, relative=TOLERANCE)
