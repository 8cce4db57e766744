"""What a stored form keeps of a gradient, against the distance between the two as whole matrices."""

import pytest
import torch
from oracles import close

from lorif_core.linalg.factors import Factors
from lorif_core.linalg.gradients import DenseGradient, SequenceGradient
from lorif_core.linalg.heaviest_columns import Columns
from lorif_core.linalg.kept_energy import kept_as_stored

B, T, D_IN, D_OUT = 3, 4, 6, 9


def stored_forms(rng):
    def random(*shape):
        return torch.randn(*shape, generator=rng)

    places = torch.stack([torch.randperm(D_OUT, generator=rng)[:2] for _ in range(B)])
    return {
        "factors": Factors(random(B, 2, D_IN), random(B, 2, D_OUT)),
        "columns": Columns(random(B, 2, D_IN), places, D_OUT),
        "whole": DenseGradient(random(B, D_IN, D_OUT)),
    }


@pytest.mark.parametrize("form", ["factors", "columns", "whole"])
@pytest.mark.parametrize("is_multiplied_out", [False, True])
def test_it_is_the_squared_norm_less_the_squared_distance(form, is_multiplied_out, rng):
    gradient = SequenceGradient(torch.randn(B, T, D_IN, generator=rng), torch.randn(B, T, D_OUT, generator=rng))
    whole = torch.einsum("bti,bto->bio", gradient.inputs.double(), gradient.output_grads.double())
    stored = stored_forms(rng)[form]
    distance = (whole - stored.dense().double()).square().sum((1, 2))
    found = kept_as_stored(DenseGradient(gradient.dense()) if is_multiplied_out else gradient, stored)
    close(found, whole.square().sum((1, 2)) - distance, relative=1e-5)
    assert found.min() < 0  # these are further away than zero is, and nothing is clipped
