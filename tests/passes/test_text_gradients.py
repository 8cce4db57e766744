"""Texts of several sequences against the weighted sum of whole gradients, one backward each, in float64."""

import pytest
import torch
from indexes import EXACT, LOGRA, QUERIES, modules_of, oracle_model, source_of
from oracles import close, project, weight_gradients
from tiny_models import random_examples

from lorif_core.capture.hooks import frozen
from lorif_core.config import ScoreConfig
from lorif_core.data.sequences import cut_windows, sequences_of
from lorif_core.linalg.codecs import column_codec
from lorif_core.linalg.maps import ModuleMaps
from lorif_core.methods.lorif import Lorif
from lorif_core.methods.method_settings import LorifConfig
from lorif_core.passes.budget import measure_energies
from lorif_core.passes.queries import Query, capture_queries
from lorif_core.passes.second_moments import add_moments, empty_moments
from lorif_core.passes.shards import build_shard
from lorif_core.passes.target_parts import join_sequences, split_over_train_targets
from lorif_core.passes.uncompressed import TrainPass
from lorif_core.store.blocks import decode_block

LONG, LONGER, SHORT, CHOSEN, REJECTED, SILENT = random_examples([23, 40, 7, 9, 6, 5], seed=5)
TEXTS = [
    cut_windows(LONG.input_ids, LONG.is_target, 8, 6),
    SHORT,
    (CHOSEN, REJECTED._replace(weight=-1.0, is_rejected=True)),
    (),
    cut_windows(LONGER.input_ids, [True] * 40, 8, 5),
    SILENT._replace(is_target=[False] * 5),
    tuple(
        one._replace(num_tokens=22, start=start)
        for one, start in zip((SHORT, CHOSEN, REJECTED), (0, 7, 16), strict=True)
    ),
]


def oracle(text) -> dict[str, torch.Tensor]:
    """Per module, the projected gradient of the weighted sum of losses."""
    maps = source_of(LOGRA).maps
    found = {name: torch.zeros(1, dtype=torch.float64) for name in maps}
    for one in filter(lambda one: one.has_targets, sequences_of(text)):
        for name, gradient in weight_gradients(oracle_model(), maps, one.input_ids, one.is_target).items():
            found[name] = found[name] + one.weight * project(gradient, maps[name].input_map, maps[name].output_map)
    return found


def stored(texts, method=LOGRA, **options) -> dict[str, torch.Tensor]:
    """Per module, what a shard holds, (n, d_in, d_out)."""
    source = source_of(method, EXACT, **options)
    with frozen(source.model):
        shard = build_shard(source, texts)
    return {
        module.name: decode_block(shard.tensors, module, EXACT, method.feature.layout).dense()
        for module in source.modules
    }


@pytest.mark.parametrize("tokens_per_batch", [1, 8, 20, 64, 1000])
def test_a_text_is_the_weighted_sum_of_its_sequences_whatever_the_batches(tokens_per_batch):
    found = stored(TEXTS, tokens_per_batch=tokens_per_batch)
    assert len(found) == 7
    for position, text in enumerate(TEXTS):
        for name, wanted in oracle(text).items():
            close(found[name][position], wanted.expand_as(found[name][position]), relative=2e-5)


def test_modules_that_do_not_fit_into_memory_wait_for_another_pass(monkeypatch):
    monkeypatch.setattr("lorif_core.passes.text_gradients.SUMMED_NUMBERS", 30)
    found = stored(TEXTS, tokens_per_batch=8)
    assert len(found) == 7
    for name, wanted in oracle(TEXTS[4]).items():
        close(found[name][4], wanted, relative=2e-5)


def test_a_text_is_factored_after_it_is_summed():
    method = Lorif(LorifConfig(factor_rank=1, subspace_rank=9))
    for tokens_per_batch in (8, 64):
        found = stored(TEXTS, method, tokens_per_batch=tokens_per_batch)
        assert len(found) == 7
        for position in (0, 2, 4, 6):
            for name, wanted in oracle(TEXTS[position]).items():
                kept = wanted.square().sum() - (wanted - found[name][position]).square().sum()
                assert float(kept) >= 0.95 * float(torch.linalg.svdvals(wanted)[0].square())


def test_a_pair_is_a_contrast():
    source = source_of(LOGRA)
    query = Query("q", sequences_of(TEXTS[2]), (1.0, -1.0))
    with frozen(source.model):
        asked = capture_queries(source, [query], ScoreConfig(objective="contrast")).matrices
    found = stored(TEXTS[2:3])
    assert found.keys() == asked.keys()
    for name, matrix in asked.items():
        close(found[name][0], matrix[0], relative=1e-5)


def test_lengths_are_those_of_the_texts_and_every_batch_is_counted():
    source, counted = source_of(LOGRA, EXACT, tokens_per_batch=20), []
    with frozen(source.model):
        shard = build_shard(source, TEXTS, lambda *batch: counted.append(batch))
    assert shard.tensors["num_tokens"].tolist() == [23, 7, 15, 0, 40, 5, 22]
    assert sum(texts for texts, _ in counted) == len(TEXTS)
    assert sum(tokens for _, tokens in counted) == sum(len(s.input_ids) for t in TEXTS for s in sequences_of(t)) - 5


def test_moments_are_those_of_all_sequences():
    model = source_of(LOGRA).model
    found, wanted = empty_moments(modules_of(model)), empty_moments(modules_of(model))
    flat = [one._replace(weight=1.0) for text in TEXTS for one in sequences_of(text)]
    with frozen(model):
        add_moments(model, found, TEXTS, pad_id=1, tokens_per_batch=64)
        add_moments(model, wanted, flat, pad_id=1, tokens_per_batch=9)
    assert len(found) == 7
    for name, moment in found.items():
        assert moment.num_tokens == wanted[name].num_tokens == sum(len(one.input_ids) for one in flat)
        close(moment.output_grads, wanted[name].output_grads, relative=1e-5)


def test_energies_and_uncompressed_gradients_are_of_summed_texts():
    source = source_of(LOGRA, EXACT, tokens_per_batch=20)
    with frozen(source.model):
        energies = measure_energies(source, TEXTS)
        whole: dict[tuple[str, int], torch.Tensor] = {}

        def take(name, place, gradients):
            whole.update({(name, position): one for position, one in zip(place.tolist(), gradients, strict=True)})

        TrainPass(source.model, 1, 20).each_gradient(
            {name: ModuleMaps(None, None) for name in source.maps}, TEXTS, take
        )
    assert len(source.maps) == 7
    for name in source.maps:
        rows = torch.stack([oracle(text)[name].expand_as(oracle(TEXTS[1])[name]) for text in TEXTS])
        values = torch.linalg.svdvals(rows).square().mean(0)[: len(energies[name])]
        close(energies[name], values, relative=1e-3)
        gradient = sum(
            one.weight * weight_gradients(oracle_model(), source.maps, one.input_ids, one.is_target)[name]
            for one in sequences_of(TEXTS[2])
        )
        close(whole[name, 2], gradient, relative=2e-5)


@pytest.mark.parametrize("method", [LOGRA, Lorif(LorifConfig(factor_rank=1, subspace_rank=9))])
@pytest.mark.parametrize("position", [0, 2, 4])
def test_parts_of_tokens_add_up_to_the_score_of_the_whole_text(method, position):
    source = source_of(method, EXACT, tokens_per_batch=20)
    with frozen(source.model):
        query = capture_queries(source_of(LOGRA), QUERIES[:1], ScoreConfig()).matrices
        matrices = {name: matrix[0] for name, matrix in query.items()}
        (splits,) = split_over_train_targets(source, [TEXTS[position]], matrices)
    score = sum(
        float((stored([TEXTS[position]], method)[name][0] * matrix).sum()) for name, matrix in matrices.items()
    )
    assert [len(split) for split in splits] == [len(one.input_ids) for one in TEXTS[position]]
    assert sum(float(split.sum()) for split in splits) == pytest.approx(score, rel=1e-3)
    joined = join_sequences(TEXTS[position], splits)
    assert sum(joined.parts) == pytest.approx(score, rel=1e-3)


def test_a_tokens_part_is_that_of_its_own_loss_in_the_window_where_it_is_a_target():
    source, text = source_of(LOGRA, EXACT, tokens_per_batch=20), TEXTS[0]
    with frozen(source.model):
        query = capture_queries(source, QUERIES[:1], ScoreConfig()).matrices
        (splits,) = split_over_train_targets(source, [text], {name: matrix[0] for name, matrix in query.items()})
    assert len(splits) == 4
    for one, split in zip(text, splits, strict=True):
        wanted = torch.zeros(len(one.input_ids), dtype=torch.float64)
        for place in (place for place, is_target in enumerate(one.is_target) if is_target):
            alone = [other == place for other in range(len(one.input_ids))]
            for name, gradient in weight_gradients(oracle_model(), source.maps, one.input_ids, alone).items():
                sides = source.maps[name]
                projected = project(gradient, sides.input_map, sides.output_map)
                wanted[place] += one.weight * (projected * query[name][0].double()).sum()
        close(split, wanted, relative=1e-3)


def test_a_text_is_joined_from_its_windows():
    text = cut_windows(list(range(10, 21)), [True] * 11, 6, 4)
    splits = [torch.full((6,), value) for value in (1.0, 5.0, 2.0)]
    joined = join_sequences(text, splits)
    assert joined.input_ids == list(range(10, 21))
    assert joined.parts == [1, 1, 1, 1, 6, 8, 7, 7, 7, 7, 2]
    assert joined.strongest == (4, 10)
    opposing = join_sequences(text, [-split for split in splits])
    assert opposing.strongest == (4, 10)
    assert join_sequences(SHORT, [torch.ones(7)]).strongest is None


def test_the_rejected_side_stands_behind_the_chosen_one():
    pair = (CHOSEN, REJECTED._replace(weight=-1.0, is_rejected=True))
    joined = join_sequences(pair, [torch.ones(9), 2 * torch.ones(6)])
    assert joined.input_ids == CHOSEN.input_ids + REJECTED.input_ids
    assert joined.strongest == (9, 15)


def test_quantised_codes_are_those_of_the_sum():
    codec = column_codec("int8")
    source = source_of(LOGRA, codec, tokens_per_batch=20)
    with frozen(source.model):
        shard = build_shard(source, TEXTS)
    assert len(source.modules) == 7
    for module in source.modules:
        found = decode_block(shard.tensors, module, codec, "dense").dense()
        wanted = oracle(TEXTS[4])[module.name]
        close(found[4], wanted, relative=1e-2)
