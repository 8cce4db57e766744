"""Rotary positions that are chosen by the longest text of a batch must not show in a text's gradients."""

from functools import cache

import pytest
import torch
import transformers as hf
from indexes import LOGRA, source_of
from oracles import close
from tiny_models import ROTARY, random_examples

from lorif_core.capture.boundaries import length_boundaries
from lorif_core.capture.hooks import frozen
from lorif_core.config import ScoreConfig
from lorif_core.passes.queries import Query, capture_queries
from lorif_core.passes.shards import build_shard
from lorif_core.passes.target_parts import split_over_query_targets, split_over_train_targets

LONGROPE = {"rope_type": "longrope", "short_factor": [1.0] * 4, "long_factor": [4.0] * 4, "rope_theta": 1e4}
EXAMPLES = random_examples([9, 4, 30, 8, 11], seed=4)
"""One is longer than the 8 tokens up to which the frequencies are the short ones, some just as long."""


@cache
def longrope_model():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        rotary = {**LONGROPE, "original_max_position_embeddings": 8, "factor": 8.0}
        return hf.AutoModelForCausalLM.from_config(
            hf.Phi3Config(**ROTARY, original_max_position_embeddings=8, rope_parameters=rotary)
        ).eval()


def source(tokens_per_batch):
    return source_of(LOGRA, tokens_per_batch=tokens_per_batch, model=longrope_model())


def test_the_length_at_which_frequencies_change_is_found():
    assert length_boundaries(longrope_model()) == (8,)


@pytest.mark.parametrize("config", [hf.LlamaConfig(**ROTARY), hf.GPT2Config(n_embd=8, n_head=1, n_layer=1)])
def test_most_models_compute_a_text_the_same_way_beside_any_other(config):
    assert length_boundaries(hf.AutoModelForCausalLM.from_config(config)) == ()


def test_frequencies_of_single_kinds_of_layers_are_found_in_nested_settings():
    model = longrope_model()
    model.config.rope_parameters, was = {"full_attention": model.config.rope_parameters}, model.config.rope_parameters
    try:
        assert length_boundaries(model) == (8,)
    finally:
        model.config.rope_parameters = was


def test_stored_gradients_do_not_depend_on_the_longest_text():
    with frozen(longrope_model()):
        together, alone = build_shard(source(4096), EXAMPLES), build_shard(source(1), EXAMPLES)
    assert together.tensors["norms"].min() > 0
    for name, rows in together.tensors.items():
        close(rows, alone.tensors[name], relative=1e-4)


def test_neither_do_queries_nor_the_parts_of_tokens():
    query = Query("q", (EXAMPLES[2], EXAMPLES[3]), (1.0, -1.0))
    whole, single = source(4096), source(1)
    with frozen(longrope_model()):
        together, alone = (
            capture_queries(whole, [query], ScoreConfig()),
            capture_queries(single, [query], ScoreConfig()),
        )
        matrices = {name: matrix[0] for name, matrix in alone.matrices.items()}
        for name, matrix in matrices.items():
            close(together.matrices[name][0], matrix, relative=1e-4)
        parts = split_over_train_targets(whole, EXAMPLES, matrices)
        assert len(parts) == len(EXAMPLES)
        for one, (part,) in zip(EXAMPLES, parts, strict=True):
            close(part, split_over_train_targets(whole, [one], matrices)[0][0], relative=1e-4)
        of_query = split_over_query_targets(whole, query, "contrast", matrices)
        by_itself = split_over_query_targets(whole, Query("q", (EXAMPLES[3],), (-1.0,)), "contrast", matrices)
        close(of_query[1], by_itself[0], relative=1e-4)
