"""Sums and products over a stored index against its gradients multiplied out."""

import pytest
import torch
from indexes import disk_index, stored_rows
from oracles import close

from lorif_core.config import CurvatureConfig
from lorif_core.methods.lorif import Lorif
from lorif_core.methods.method_settings import LorifConfig
from lorif_core.passes.stored_gram import add_up, score_plainly

PLAIN = CurvatureConfig(subspace_rank=0, damping_rule="absolute", damping=1.0)


def packed_index(folder, shard_examples):
    return disk_index(
        folder, Lorif(LorifConfig(factor_rank=2, subspace_rank=0)), PLAIN, "sign", shard_examples=shard_examples
    )


def random_weights(index, num_rows):
    generator = torch.Generator().manual_seed(7)
    return torch.randn(num_rows, index.manifest.num_examples, generator=generator)


@pytest.mark.parametrize("shard_examples", [3, 10])
def test_a_weighted_sum_adds_every_stored_gradient_of_every_shard(shard_examples, tmp_path):
    index = packed_index(tmp_path, shard_examples)
    weights = random_weights(index, 2)
    sums = add_up(index, weights)
    assert len(sums) == len(index.modules) == 7
    for module, rows in zip(index.modules, stored_rows(index), strict=True):
        close(sums[module.name].flatten(1), weights.double() @ rows, relative=1e-5)


def test_plain_scores_are_products_with_every_stored_gradient_summed_over_modules(tmp_path):
    index = packed_index(tmp_path, 3)
    queries = add_up(index, random_weights(index, 2))  # any matrices
    parts = [
        queries[module.name].flatten(1).double() @ rows.T
        for module, rows in zip(index.modules, stored_rows(index), strict=True)
    ]
    close(score_plainly(index, queries), torch.stack(parts).sum(0), relative=1e-5)
