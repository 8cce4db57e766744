import math

import pytest
import torch

from lorif_core.capture.objectives import example_objective, negative_margin, summed_cross_entropy
from lorif_core.errors import ConfigError, NumericalError


@pytest.fixture
def logits(rng):
    return torch.randn(2, 3, 5, generator=rng, dtype=torch.float64)


LABELS = torch.tensor([[2, 3, 4], [0, 0, 1]])
IS_TARGET = torch.tensor([[False, True, True], [True, False, False]])


def losses_by_hand(logits):
    probabilities = logits.exp() / logits.exp().sum(2, keepdim=True)
    return [
        -math.log(probabilities[0, 1, 3]),
        -math.log(probabilities[0, 2, 4]),
        -math.log(probabilities[1, 0, 0]),
    ]


def test_the_loss_is_summed_over_target_tokens_only(logits):
    first, second, third = losses_by_hand(logits)
    found = summed_cross_entropy(logits, LABELS, IS_TARGET)
    torch.testing.assert_close(found, torch.tensor([first + second, third], dtype=torch.float64))


def test_an_example_without_targets_has_loss_zero_and_no_gradient(logits):
    logits.requires_grad_()
    loss = summed_cross_entropy(logits, LABELS, torch.zeros_like(IS_TARGET))
    loss.sum().backward()
    assert loss.tolist() == [0, 0]
    assert not logits.grad.any()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_the_loss_is_at_least_float32(logits, dtype):
    assert summed_cross_entropy(logits.to(dtype), LABELS, IS_TARGET).dtype == torch.float32


def test_the_margin_is_minus_the_log_odds_of_the_whole_completion(logits):
    first, second, third = losses_by_hand(logits)
    expected = [-math.log(p / (1 - p)) for p in (math.exp(-first - second), math.exp(-third))]
    torch.testing.assert_close(
        negative_margin(logits, LABELS, IS_TARGET), torch.tensor(expected, dtype=torch.float64)
    )


ONE_TOKEN = torch.tensor([[0]]), torch.tensor([[True]])


def test_the_margin_of_a_nearly_certain_completion_keeps_its_digits():
    # p = 1 / (1 + e^-30), so log p - log(1 - p) is exactly 30.
    found = negative_margin(torch.tensor([[[30.0, 0.0]]], dtype=torch.float64), *ONE_TOKEN)
    # Float64 knows log p ≈ 1e-13 from a difference of numbers near 30: 1e-16 · 30 / 1e-13 = 3 %.
    assert found.item() == pytest.approx(-30, abs=0.05)


def test_the_margin_of_a_certain_completion_is_refused():
    with pytest.raises(NumericalError, match=r"needs a completion probability below 1.*Use the objective `loss`"):
        negative_margin(torch.tensor([[[200.0, 0.0]]]), *ONE_TOKEN)


def test_an_unknown_objective_lists_the_known_ones():
    with pytest.raises(ConfigError, match=r"one of loss, margin here, got 'accuracy'"):
        example_objective("accuracy")
