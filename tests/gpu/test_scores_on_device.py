"""Indexes that are built and asked on a device, against dense inverses on the CPU."""

import pytest
import torch
from devices import BFLOAT16, distance, model_on
from indexes import FULL, LOGRA, QUERIES, TRAIN, disk_index, memory_index, oracle_rows, scores_of, stored_rows
from oracles import close, gram_eigenvalues, influence_scores

from lorif_core.config import CurvatureConfig, ScoreConfig
from lorif_core.linalg.codecs import column_codec
from lorif_core.methods.lorif import Lorif
from lorif_core.methods.method_settings import LorifConfig
from lorif_core.passes.queries import Query

pytestmark = pytest.mark.gpu

TRACE = CurvatureConfig(subspace_rank=999, damping_rule="trace", damping_ratio=0.5)
GRADDOT = CurvatureConfig(subspace_rank=0, damping_rule="absolute", damping=2.0)
METHODS = pytest.mark.parametrize("method", [FULL, LOGRA], ids=["lorif", "logra"])

# Gradients in float32 against float64, norms inside the model in float32 on both sides; the inverse
# multiplies errors by up to σ²/λ, which is below 50 here.
TOLERANCE = 5e-4


@pytest.fixture(scope="module")
def trained():
    return oracle_rows(TRAIN)


@pytest.fixture(scope="module")
def asked():
    return oracle_rows([query.sequences[0] for query in QUERIES])


@pytest.fixture(scope="module")
def model(device):
    return model_on(device, "llama", "float32")


def trace_dampings(rows):
    return [0.5 * gram_eigenvalues(one).mean().item() for one in rows]


@METHODS
def test_scores_are_those_of_the_dense_inverse(method, trained, asked, model):
    index = memory_index(method, TRACE, model=model)
    wanted = influence_scores(asked, trained, trace_dampings(trained))
    close(scores_of(index, TRACE, model=model), wanted, relative=TOLERANCE)


@METHODS
@pytest.mark.parametrize("codec", ["bf16", "int8", "int4", "sign"])
def test_an_index_scores_what_its_codes_stand_for(method, codec, asked, model):
    index = memory_index(method, TRACE, codec=column_codec(codec), model=model)
    rows = stored_rows(index)
    wanted = influence_scores(asked, rows, trace_dampings(rows))
    close(scores_of(index, TRACE, model=model), wanted, relative=TOLERANCE)


def test_a_text_has_with_itself_the_unit_score_1(model):
    settings = ScoreConfig(normalisation="unit")
    own = [Query(str(number), (one,), (1.0,)) for number, one in enumerate(TRAIN)]
    found = scores_of(memory_index(FULL, TRACE, model=model), TRACE, settings, own, model=model)
    close(found.diagonal(), torch.ones(len(TRAIN)), relative=TOLERANCE)


def test_relatif_divides_by_the_root_of_the_self_influence(trained, asked, model):
    settings = ScoreConfig(normalisation="relatif")
    own = influence_scores(trained, trained, trace_dampings(trained)).diagonal()
    wanted = influence_scores(asked, trained, trace_dampings(trained)) / own.sqrt()
    found = scores_of(memory_index(FULL, TRACE, model=model), TRACE, settings, model=model)
    close(found, wanted, relative=TOLERANCE)


@pytest.mark.parametrize("tokens_per_batch", [1, 20, 1000])
def test_batches_change_no_score(tokens_per_batch, trained, asked, model):
    index = memory_index(FULL, TRACE, model=model, tokens_per_batch=tokens_per_batch, shard_examples=3)
    wanted = influence_scores(asked, trained, trace_dampings(trained))
    close(scores_of(index, TRACE, model=model), wanted, relative=TOLERANCE)


@pytest.mark.parametrize("precision", ["autocast", "bfloat16"])
def test_scores_in_fewer_bits_are_as_close_as_their_dtype_allows(precision, trained, asked, device):
    model = model_on(device, "llama", precision)
    method = Lorif(LorifConfig(factor_rank=99, subspace_rank=0))
    found = scores_of(memory_index(method, GRADDOT, model=model), GRADDOT, model=model)
    wanted = sum(q @ n.T for q, n in zip(asked, trained, strict=True)) / 2.0
    # Both gradients are off; rounded weights as much again.
    assert distance(found, wanted) <= 4 * BFLOAT16["llama"]


def test_an_index_on_disk_scores_as_the_one_in_memory(model, tmp_path):
    pytest.importorskip("xxhash")
    index = disk_index(tmp_path, FULL, TRACE, "bf16", model=model)
    wanted = scores_of(memory_index(FULL, TRACE, codec=column_codec("bf16"), model=model), TRACE, model=model)
    close(scores_of(index, TRACE, model=model), wanted, relative=TOLERANCE)
