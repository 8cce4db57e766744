"""The heaviest columns of a gradient, against whole matrices in float64."""

import pytest
import torch

from lorif_core.linalg.gradients import DenseGradient, SequenceGradient
from lorif_core.linalg.heaviest_columns import Columns, heaviest_columns

B, T, D, V = 5, 7, 6, 40


def sequences(*, seed=0, num_outputs=V):
    generator = torch.Generator().manual_seed(seed)
    outputs = torch.randn(B, T, num_outputs, generator=generator) ** 5  # few columns hold most of it, as of a head
    return SequenceGradient(torch.randn(B, T, D, generator=generator), outputs)


def oracle(gradient, num_columns):
    """Per example, every other column set to zero, float64."""
    kept = []
    for inputs, outputs in zip(gradient.inputs.double(), gradient.output_grads.double(), strict=True):
        whole = sum(torch.outer(x, y) for x, y in zip(inputs, outputs, strict=True))
        order = sorted(range(whole.shape[1]), key=lambda place: -float(whole[:, place].norm()))
        left = torch.zeros_like(whole)
        for place in order[:num_columns]:
            left[:, place] = whole[:, place]
        kept.append(left)
    return torch.stack(kept)


@pytest.mark.parametrize("num_columns", [1, 3, 10])
@pytest.mark.parametrize("is_dense", [False, True])
def test_they_are_the_columns_of_largest_norm(num_columns, is_dense):
    gradient = sequences()
    found = heaviest_columns(DenseGradient(gradient.dense()) if is_dense else gradient, num_columns)
    torch.testing.assert_close(found.dense().double(), oracle(gradient, num_columns), rtol=1e-5, atol=1e-4)
    norms = found.left.norm(dim=2)
    assert bool((norms[:, :-1] >= norms[:, 1:]).all())
    assert found.left.shape == (B, num_columns, D)


def test_all_columns_are_the_gradient():
    gradient = sequences()
    found = heaviest_columns(gradient, 10_000)
    assert found.places.shape == (B, V)
    torch.testing.assert_close(found.dense(), gradient.dense(), rtol=1e-5, atol=1e-4)


def test_a_token_that_stands_at_several_places_is_one_column():
    inputs = torch.randn(1, 4, D, generator=torch.Generator().manual_seed(1))
    outputs = torch.zeros(1, 4, V)
    outputs[0, :3, 7] = torch.tensor([-1.0, -0.5, -0.25])
    outputs[0, 3, 9] = -0.1
    found = heaviest_columns(SequenceGradient(inputs, outputs), 2)
    assert found.places.tolist() == [[7, 9]]
    torch.testing.assert_close(found.left[0, 0], -(inputs[0, 0] + inputs[0, 1] / 2 + inputs[0, 2] / 4))


def test_no_column_stands_twice_and_missing_ones_are_zero():
    outputs = torch.zeros(1, 2, V)
    outputs[0, 0, 3] = 1.0
    found = heaviest_columns(SequenceGradient(torch.ones(1, 2, D), outputs), 4)
    assert len(set(found.places[0].tolist())) == 4
    assert found.left[0, 1:].abs().max() == 0


def test_norms_are_those_of_the_matrices():
    found = heaviest_columns(sequences(seed=3), 5)
    torch.testing.assert_close(found.squared_norm().double(), found.dense().double().square().sum((1, 2)))


def test_padding_chooses_nothing():
    gradient = sequences(seed=4)
    longer = SequenceGradient(
        torch.cat((gradient.inputs, torch.randn(B, 3, D)), 1),
        torch.cat((gradient.output_grads, torch.zeros(B, 3, V)), 1),
    )
    one, other = heaviest_columns(gradient, 4), heaviest_columns(longer, 4)
    assert torch.equal(one.places, other.places)
    torch.testing.assert_close(one.left, other.left)


def test_a_dense_form_of_columns_in_any_order():
    left = torch.arange(6.0).view(1, 2, 3)
    assert Columns(left, torch.tensor([[4, 1]]), 5).dense()[0].T.tolist() == [
        [0, 0, 0],
        [3, 4, 5],
        [0, 0, 0],
        [0, 0, 0],
        [0, 1, 2],
    ]
